//! How long after a wake-up from a thread of the program's own does the task run?
//!
//! The thread pauses first, so that the system has gone to sleep.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::slot::Slot;
use super::systems::{Spawn, Work};

const PAUSE: Duration = Duration::from_micros(200);

/// Says the median and the 99th percentile, in ns.
pub struct Wake {
    pub count: u64,
}

impl Work for Wake {
    async fn run<S: Spawn>(self, _on: S) -> io::Result<()> {
        let slot = Arc::new(Slot::default());
        let heard = Arc::new(AtomicU64::new(0));
        let thread = {
            let (slot, heard) = (slot.clone(), heard.clone());
            thread::spawn(move || {
                for number in 0..self.count {
                    thread::sleep(PAUSE);
                    slot.put(Instant::now());
                    while heard.load(Ordering::Acquire) == number {
                        thread::yield_now();
                    }
                }
            })
        };
        let mut latencies = Vec::with_capacity(self.count as usize);
        for number in 1..=self.count {
            let woken: Instant = slot.take().await;
            latencies.push(woken.elapsed());
            heard.store(number, Ordering::Release);
        }
        thread.join().map_err(|_| io::Error::other("the waking thread panicked"))?;
        latencies.sort();
        let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
        println!("figures {} {}", at(0.5).as_nanos(), at(0.99).as_nanos());
        Ok(())
    }
}
