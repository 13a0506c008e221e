//! Goal: sources that come and go while others poll cause no error and leave nothing (FAULTS E16).
//! Method: eight threads register and deregister the same few sockets while two threads wait; descriptors and live heap bytes are counted.

#[path = "support/heap.rs"]
mod heap;
mod support;

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use heap::live_bytes;
use smolkit_runtime::{Async, Runtime, Timer, block_on};
use support::{open_fds, rounds, within};

#[test]
fn sources_come_and_go() {
    within(Duration::from_secs(300), || {
        let runtime = Runtime::builder().workers(2).build().unwrap();
        let churn = |count: usize| {
            thread::scope(|scope| {
                for lane in 0..8 {
                    let runtime = &runtime;
                    scope.spawn(move || {
                        let (one, other) = UnixStream::pair().unwrap();
                        for round in 0..count {
                            // In the common shard; every other one with an event under way when it goes.
                            let source = Async::new(one.as_fd()).unwrap();
                            block_on(async {
                                assert!(future::poll_once(source.readable()).await.is_none());
                            });
                            if round % 2 == 0 {
                                rustix::io::write(&other, b"x").unwrap();
                            }
                            drop(source);
                            if round % 2 == 0 {
                                rustix::io::read(&one, &mut [0; 1]).unwrap();
                            }
                            if round % 64 == lane {
                                // And in those of the workers, to the end.
                                block_on(runtime.spawn(async {
                                    let (mut a, mut b) = Async::<UnixStream>::pair().unwrap();
                                    let (written, read) = future::zip(a.write_all(b"y"), async {
                                        b.read_exact(&mut [0]).await
                                    })
                                    .await;
                                    written.and(read).unwrap();
                                    Timer::after(Duration::from_micros(50)).await;
                                }));
                            }
                        }
                    });
                }
            });
        };
        churn(200);
        let (fds, bytes) = (open_fds(), live_bytes());
        churn(rounds(2_000, 12_500));
        assert_eq!(open_fds(), fds);
        let grown = live_bytes().saturating_sub(bytes);
        assert!(grown < 16_384, "{grown} bytes more");
    });
}
