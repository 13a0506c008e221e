//! Work that blocks goes to threads of its own; the tasks go on meanwhile.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::time::Duration;

use smolkit::{Timer, future, unblock};

fn main() {
    let (primes, ticks) = smolkit::block_on(future::zip(
        unblock(|| (2..20_000u32).filter(|&n| (2..n).all(|d| n % d != 0)).count()),
        async {
            for _ in 0..3 {
                Timer::after(Duration::from_millis(5)).await;
                println!("still responsive");
            }
            3
        },
    ));
    println!("{primes} primes, {ticks} ticks");
}
