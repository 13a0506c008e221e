//! A deadline for something that takes too long, and a ticking interval.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::time::{Duration, Instant};

use smolkit::{Timer, future, prelude::*};

fn main() {
    smolkit::block_on(async {
        let start = Instant::now();
        let answer = async {
            Timer::after(Duration::from_secs(60)).await;
            Some("late")
        };
        let deadline = async {
            Timer::after(Duration::from_millis(50)).await;
            None
        };
        match future::or(answer, deadline).await {
            Some(answer) => println!("{answer}"),
            None => println!("gave up after {:?}", start.elapsed()),
        }

        let mut ticks = Timer::interval(Duration::from_millis(10)).take(3);
        while ticks.next().await.is_some() {
            println!("tick at {:?}", start.elapsed());
        }
    });
}
