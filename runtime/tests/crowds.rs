//! Goal: among many sockets none is forgotten, and a hot one does not keep the others waiting (FAULTS E6, E8, E10).
//! Method: progress is counted on one worker, in rounds and bytes; time only bounds the whole.

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use smolkit_runtime::{Async, Runtime, Timer, block_on};
use support::{TEST_MAX, raise_descriptor_limit, rounds, within};

/// E6: far more sockets are ready at once than one wait fetches, again and again.
#[test]
fn more_ready_than_a_wait_fetches() {
    let sockets = rounds(1_500, 10_000);
    // Besides, those of the tests beside this one.
    const OTHERS: usize = 400;
    let limit = raise_descriptor_limit((2 * sockets + OTHERS) as u64) as usize;
    let sockets = sockets.min(limit.saturating_sub(OTHERS) / 2);
    assert!(sockets > 300, "this system allows {limit} descriptors, too few for this test");
    within(TEST_MAX, move || {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let served: Arc<Vec<_>> = Arc::new((0..sockets).map(|_| AtomicUsize::new(0)).collect());
        let done = Arc::new(AtomicBool::new(false));
        let mut near = Vec::new();
        for index in 0..sockets {
            let (one, mut other) = Async::<UnixStream>::pair().unwrap();
            let (served, done) = (served.clone(), done.clone());
            runtime
                .spawn(async move {
                    let mut byte = [0];
                    while let Ok(()) = other.read_exact(&mut byte).await {
                        served[index].fetch_add(1, Ordering::Relaxed);
                        if done.load(Ordering::Relaxed) || other.write_all(&byte).await.is_err() {
                            break;
                        }
                    }
                })
                .detach();
            near.push(one);
        }
        // Every echo is sent back at once: all are ready, in every round.
        let echoes: Vec<_> = near
            .into_iter()
            .map(|mut one| {
                runtime.spawn(async move {
                    let mut byte = [7];
                    while one.write_all(&byte).await.is_ok() {
                        if one.read_exact(&mut byte).await.is_err() {
                            break;
                        }
                    }
                })
            })
            .collect();
        // By the only worker itself, so that nothing moves meanwhile; and from when all have begun, however long their start took.
        let counts = block_on(runtime.spawn({
            let served = served.clone();
            async move {
                let look = || -> Vec<usize> {
                    served.iter().map(|count| count.load(Ordering::Relaxed)).collect()
                };
                let mut before = look();
                while before.contains(&0) {
                    Timer::after(Duration::from_millis(1)).await;
                    before = look();
                }
                let total: usize = before.iter().sum();
                let mut after = look();
                while after.iter().sum::<usize>() < total + 20 * after.len() {
                    Timer::after(Duration::from_millis(1)).await;
                    after = look();
                }
                after.iter().zip(&before).map(|(after, before)| after - before).collect::<Vec<_>>()
            }
        }));
        done.store(true, Ordering::Relaxed);
        let (min, max) = (*counts.iter().min().unwrap(), *counts.iter().max().unwrap());
        assert!(min > 0 && max < 10 * min, "the least served {min}, the most served {max}");
        block_on(async {
            for echo in echoes {
                echo.await;
            }
        });
    });
}

/// E8: a socket that is never empty, read by a task that never has enough.
#[test]
fn a_hot_socket_does_not_starve_quiet_ones() {
    const QUIET: usize = 100;
    const ECHOES: usize = 20;
    /// How far the hot one is when the last of the quiet ones comes to some point.
    #[derive(Default)]
    struct Moment {
        come: AtomicUsize,
        reads: AtomicUsize,
    }
    impl Moment {
        fn come(&self, hot_reads: &AtomicUsize) {
            if self.come.fetch_add(1, Ordering::Relaxed) + 1 == QUIET {
                self.reads.store(hot_reads.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
    }
    within(TEST_MAX, || {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let (mut hot, hose) = Async::<UnixStream>::pair().unwrap();
        let hose = hose.into_inner().unwrap();
        hose.set_nonblocking(false).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let sender = {
            let (stop, mut hose) = (stop.clone(), hose);
            thread::spawn(move || {
                let full = [1; 64 * 1024];
                while !stop.load(Ordering::Relaxed) && hose.write_all(&full).is_ok() {}
            })
        };
        let hot_reads = Arc::new(AtomicUsize::new(0));
        let reader = {
            let hot_reads = hot_reads.clone();
            runtime.spawn(async move {
                // So few bytes a read that the sender, on another core or in the same buffer, is always ahead.
                let mut few = [0; 16];
                while hot.read(&mut few).await.unwrap() > 0 {
                    hot_reads.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        while hot_reads.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        // Counted from when all of them have begun until the last one has ended, and by the worker itself: the hot one goes on until this thread gets its turn.
        let moments: [Arc<Moment>; 2] = Default::default();
        let quiet: Vec<_> = (0..QUIET)
            .map(|_| {
                let ([begun, ended], hot_reads) = (moments.clone(), hot_reads.clone());
                runtime.spawn(async move {
                    let (mut one, mut other) = Async::<UnixStream>::pair().unwrap();
                    let mut byte = [0];
                    for round in 0..ECHOES {
                        // The read has to wait, so every round goes through the poller.
                        let ((), ()) = future::zip(
                            async { one.read_exact(&mut byte).await.unwrap() },
                            async {
                                future::yield_now().await;
                                other.write_all(&[round as u8]).await.unwrap();
                            },
                        )
                        .await;
                        assert_eq!(byte, [round as u8]);
                        if round == 0 {
                            begun.come(&hot_reads);
                        }
                    }
                    ended.come(&hot_reads);
                })
            })
            .collect();
        block_on(async {
            for task in quiet {
                task.await;
            }
        });
        // All hundred advance between two looks at the poller, of which a round needs few. Two thousand turns of the hot one would be a hundred a round.
        let [before, after] = moments.map(|moment| moment.reads.load(Ordering::Relaxed));
        let reads = after - before;
        assert!(reads < 2_000 * 128, "{reads} reads of the hot socket meanwhile");
        stop.store(true, Ordering::Relaxed);
        drop(runtime);
        drop(reader);
        sender.join().unwrap();
    });
}

/// E8: a task whose reads never have to wait lets others run, in one future as well.
#[test]
fn a_hot_reader_lets_its_neighbour_run() {
    /// More than a turn's operations read, and no more than any socket holds.
    const BYTES: usize = 4 * 1024;
    within(TEST_MAX, || {
        let (mut one, other) = UnixStream::pair().unwrap();
        one.write_all(&[0; BYTES]).unwrap();
        let hot = Async::new(other).unwrap();
        let neighbour = AtomicBool::new(false);
        block_on(future::or(
            async {
                let mut reads = 0;
                while !neighbour.load(Ordering::Relaxed) {
                    assert!(reads < BYTES, "read it all, and nobody else ran");
                    reads += hot.read_with(|mut io| io.read(&mut [0])).await.unwrap();
                }
            },
            async {
                neighbour.store(true, Ordering::Relaxed);
                future::pending().await
            },
        ));
    });
}

/// E10: one byte there, one byte back, on one core: whoever misses an event stops for good.
#[cfg(target_os = "linux")]
#[test]
fn ping_pong_on_one_core() {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    let turns = rounds(20_000, 1_000_000);
    within(Duration::from_secs(600), move || {
        let allowed = sched_getaffinity(None).unwrap();
        let first = (0..CpuSet::MAX_CPU).find(|&cpu| allowed.is_set(cpu)).unwrap();
        let mut one_core = CpuSet::new();
        one_core.set(first);
        // The runtime's threads, started below, inherit it.
        sched_setaffinity(None, &one_core).unwrap();
        let runtime = Runtime::builder().workers(2).build().unwrap();
        let (mut ping, mut pong) = Async::<UnixStream>::pair().unwrap();
        let echo = runtime.spawn(async move {
            let mut byte = [0];
            while pong.read(&mut byte).await.unwrap() == 1 {
                pong.write_all(&byte).await.unwrap();
            }
        });
        // In turn within the runtime, and from a thread of its own.
        let half = turns / 2;
        let play = move |mut ping: Async<UnixStream>| async move {
            let mut byte = [0];
            for turn in 0..half {
                ping.write_all(&[turn as u8]).await.unwrap();
                ping.read_exact(&mut byte).await.unwrap();
                assert_eq!(byte, [turn as u8]);
            }
            ping
        };
        ping = block_on(runtime.spawn(play(ping)));
        ping = block_on(play(ping));
        drop(ping);
        block_on(echo);
    });
}
