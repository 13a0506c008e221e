//! Nine readers want three pages: each page is fetched once, two are fetched at a time, and not too many a second.

#![allow(clippy::print_stdout)]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use smolkit::lock::{Mutex, Semaphore};
use smolkit::sync::{RateLimiter, SingleFlight};
use smolkit::{Timer, spawn};

struct Fetcher {
    flights: SingleFlight<u32, String>,
    at_once: Semaphore,
    limiter: RateLimiter,
    fetched: Mutex<Vec<u32>>,
}

fn main() {
    let hundred = NonZeroU32::new(100).expect("it is not zero");
    let fetcher = Arc::new(Fetcher {
        flights: SingleFlight::new(),
        at_once: Semaphore::new(2),
        limiter: RateLimiter::new(hundred, Duration::from_secs(1), NonZeroU32::MIN),
        fetched: Mutex::new(Vec::new()),
    });
    smolkit::block_on(async {
        let readers = (0..9).map(|reader| {
            let fetcher = fetcher.clone();
            spawn(async move { format!("reader {reader} has {}", fetcher.page(reader % 3).await) })
        });
        for reader in readers.collect::<Vec<_>>() {
            println!("{}", reader.await);
        }
        println!("fetched: {:?}", fetcher.fetched.lock().await);
    });
}

impl Fetcher {
    /// The page, from whoever fetches it already.
    async fn page(&self, number: u32) -> String {
        self.flights.run(number, || self.fetch(number)).await
    }

    async fn fetch(&self, number: u32) -> String {
        let _permit = self.at_once.acquire().await;
        let sleep = |delay| async move {
            Timer::after(delay).await;
        };
        self.limiter.acquire(sleep).await;
        Timer::after(Duration::from_millis(10)).await;
        self.fetched.lock().await.push(number);
        format!("page {number}")
    }
}
