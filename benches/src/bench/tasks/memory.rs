//! How much memory does a task take that waits?

use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::slot::Slot;
use super::systems::{Spawn, Work};
use crate::measure::cpu;

/// So many first, for what is made only once.
const WARMTH: u64 = 1000;

/// Tasks with a future of a few bytes that wait for ever; says how many bytes each takes, and all of them.
pub struct Parked {
    pub tasks: u64,
}

impl Work for Parked {
    async fn run<S: Spawn>(self, on: S) -> io::Result<()> {
        park(on, WARMTH).await;
        let before = cpu::resident_bytes(process::id())?;
        park(on, self.tasks).await;
        let grown = cpu::resident_bytes(process::id())?.saturating_sub(before);
        println!("figures {:.1} {grown}", grown as f64 / self.tasks as f64);
        Ok(())
    }
}

/// Returns when all of them have been polled.
async fn park(on: impl Spawn, tasks: u64) {
    let to_park = Arc::new(AtomicU64::new(tasks));
    let are_parked = Arc::new(Slot::default());
    for _ in 0..tasks {
        let (to_park, are_parked) = (to_park.clone(), are_parked.clone());
        // The handle takes no memory, and must not cancel its task.
        std::mem::forget(on.spawn(async move {
            if to_park.fetch_sub(1, Ordering::Relaxed) == 1 {
                are_parked.put(());
            }
            drop((to_park, are_parked));
            std::future::pending().await
        }));
    }
    are_parked.take().await;
}
