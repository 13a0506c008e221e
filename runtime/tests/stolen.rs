//! Goal: each task is run to its end or cancelled, and its future dropped, exactly once (FAULTS R22), however it moves between queues.
//! Method: crowds of tasks that overflow a worker's queue, are stolen, yield, wake each other and are cancelled; each has a counter of its own.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use futures_lite::future;
use smolkit_runtime::{Runtime, block_on, spawn};
use support::{rounds, within};

/// Several times as many as a local queue holds.
const CROWD: usize = 5_000;

#[derive(Default)]
struct Counts {
    dropped: AtomicU8,
    finished: AtomicU8,
}

/// Part of a future.
struct Token(Arc<Vec<Counts>>, usize);

impl Token {
    fn finish(&self) {
        self.0[self.1].finished.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0[self.1].dropped.fetch_add(1, Ordering::Release);
    }
}

#[test]
fn each_task_once() {
    within(Duration::from_secs(1_000), || {
        let runtime = Runtime::builder().workers(4).build().unwrap();
        let cancelled = Arc::new(AtomicUsize::new(0));
        for _ in 0..rounds(200_000, 10_000_000) / CROWD {
            let counts: Arc<Vec<Counts>> =
                Arc::new((0..CROWD).map(|_| Counts::default()).collect());
            let spawner = {
                let (counts, cancelled) = (counts.clone(), cancelled.clone());
                async move {
                    let mut tasks = Vec::new();
                    for number in 0..CROWD {
                        let token = Token(counts.clone(), number);
                        let task = spawn(async move {
                            if number % 2 == 0 {
                                future::yield_now().await;
                            }
                            token.finish();
                        });
                        match number % 8 {
                            3 => task.detach(),
                            // Before it runs, or while it does, or after.
                            5 => drop(task),
                            7 => {
                                cancelled.fetch_add(1, Ordering::Relaxed);
                                task.cancel().await;
                            }
                            _ => tasks.push(task),
                        }
                    }
                    for task in tasks {
                        task.await;
                    }
                }
            };
            block_on(runtime.spawn(spawner));
            support::wait_until("all futures are gone", || {
                counts.iter().all(|counts| counts.dropped.load(Ordering::Acquire) > 0)
            });
            for (number, counts) in counts.iter().enumerate() {
                assert_eq!(counts.dropped.load(Ordering::Acquire), 1, "number {number}");
                let finished = counts.finished.load(Ordering::Relaxed);
                assert!(finished <= 1, "number {number} ran {finished} times to its end");
                assert!(finished == 1 || matches!(number % 8, 5 | 7), "number {number} never ran");
            }
        }
        assert!(cancelled.load(Ordering::Relaxed) > 0);
    });
}
