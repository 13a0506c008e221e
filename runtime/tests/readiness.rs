//! Goal: readiness is neither lost, nor invented, nor leaked (FAULTS E1, E2, E3, E7, E9, E11).
//! Method: sockets and pipes closed, duplicated, half read and refused, on real pollers.

mod support;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
use smolkit_runtime::{Async, Runtime, Timer, block_on, spawn};
use support::{TEST_MAX, rounds, thread_cpu, within};

/// E1: a descriptor's number is used again while an event for the old one is pending.
#[test]
fn numbers_that_are_used_again() {
    within(Duration::from_secs(3_000), || {
        let runtime = Runtime::builder().workers(2).build().unwrap();
        let tasks: Vec<_> = (0..4u8)
            .map(|lane| {
                runtime.spawn(async move {
                    for round in 0..rounds(5_000, 250_000) {
                        let (old, mut peer) = Async::<UnixStream>::pair().unwrap();
                        assert!(future::poll_once(old.readable()).await.is_none());
                        peer.write_all(b"X").await.unwrap();
                        // The event is on its way, or in a batch already.
                        drop((old, peer));
                        let (mut new, mut peer) = Async::<UnixStream>::pair().unwrap();
                        let mut byte = [0];
                        let early = future::poll_once(new.read(&mut byte)).await;
                        assert!(early.is_none(), "lane {lane} round {round}: {early:?}, {byte:?}");
                        peer.write_all(&[lane]).await.unwrap();
                        new.read_exact(&mut byte).await.unwrap();
                        assert_eq!(byte, [lane], "round {round}");
                    }
                })
            })
            .collect();
        block_on(async {
            for task in tasks {
                task.await;
            }
        });
    });
}

/// Runs a task on a worker of its own.
fn on_a_worker<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> T {
    let runtime = Runtime::builder().workers(1).build().unwrap();
    block_on(runtime.spawn(task))
}

/// Waits beside what could keep the poller busy, and looks how much CPU time that takes the worker, which drives it.
async fn stay_idle() {
    let time = Duration::from_secs(rounds(1, 5) as u64);
    let mut used = Duration::MAX;
    // The least of several: what a busy machine adds comes and goes, a poller that spins does so each time.
    for _ in 0..5 {
        let before = thread_cpu();
        Timer::after(time).await;
        used = used.min(thread_cpu() - before);
        if used < time / 50 {
            return;
        }
    }
    panic!("{used:?} of CPU time in {time:?}");
}

/// E2: a duplicate would keep the registration alive, and its events coming.
#[test]
fn a_duplicate_survives_its_original() {
    within(TEST_MAX, || {
        let (one, mut other) = UnixStream::pair().unwrap();
        let mut duplicate = one.try_clone().unwrap();
        on_a_worker(async move {
            let original = Async::new(one).unwrap();
            assert!(future::poll_once(original.readable()).await.is_none());
            drop(original);
            other.write_all(b"x").unwrap();
            // Were it still registered, its events would go on.
            stay_idle().await;
            drop(other);
        });
        let mut byte = [0];
        duplicate.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
    });
}

/// E3: somebody closes the descriptor behind our back.
#[test]
fn closed_behind_our_back() {
    let (one, _other) = Async::<UnixStream>::pair().unwrap();
    let number = one.as_raw_fd();
    let (mut file, _keep) = UnixStream::pair().unwrap();
    // As dup2 does it: the number now means another socket, which was never registered.
    // SAFETY: the number is owned by `one`, which goes on owning it.
    let mut target = std::mem::ManuallyDrop::new(unsafe {
        <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(number)
    });
    rustix::io::dup2(file.as_fd(), &mut target).unwrap();
    drop(one);
    file.flush().unwrap();
    let (again, _peer) = Async::<UnixStream>::pair().unwrap();
    block_on(async { assert!(future::poll_once(again.readable()).await.is_none()) });
}

/// A wait that cannot be set up is an error each time, and none that lasts for ever.
#[test]
fn a_wait_that_fails_fails_again() {
    let (one, _other) = Async::<UnixStream>::pair().unwrap();
    let (stranger, _peer) = UnixStream::pair().unwrap();
    // SAFETY: the number is owned by `one`, which goes on owning it.
    let mut target = std::mem::ManuallyDrop::new(unsafe {
        <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(one.as_raw_fd())
    });
    // The number now means a socket that was never registered: the kernel does not know what to report.
    rustix::io::dup2(stranger.as_fd(), &mut target).unwrap();
    block_on(future::poll_fn(|cx| {
        for _ in 0..3 {
            assert!(matches!(one.poll_readable(cx), Poll::Ready(Err(_))));
            assert!(matches!(one.poll_writable(cx), Poll::Ready(Err(_))));
        }
        Poll::Ready(())
    }));
    block_on(async {
        one.readable().await.unwrap_err();
        one.writable().await.unwrap_err();
    });
}

/// E7: one byte of many is read; the rest must still wake.
#[test]
fn a_partial_read_keeps_the_edge() {
    within(TEST_MAX, || {
        block_on(async {
            let (mut one, mut other) = Async::<UnixStream>::pair().unwrap();
            let sender = spawn(async move {
                other.write_all(&vec![1; 1024 * 1024]).await.unwrap();
            });
            let mut total = 0;
            let mut byte = [0];
            one.read_exact(&mut byte).await.unwrap();
            total += 1;
            // A bare wait must report what is still there, though no new event comes.
            one.readable().await.unwrap();
            one.readable().await.unwrap();
            future::poll_fn(|cx| one.poll_readable(cx)).await.unwrap();
            future::poll_fn(|cx| one.poll_readable(cx)).await.unwrap();
            let mut buffer = [0; 1_000];
            while total < 1024 * 1024 {
                total += one.read(&mut buffer).await.unwrap();
            }
            sender.await;
            assert!(
                future::poll_once(one.readable()).await.is_some_and(|end| end.is_ok()) || {
                    // The hang-up may still be on its way.
                    one.readable().await.is_ok()
                }
            );
            assert_eq!(one.read(&mut buffer).await.unwrap(), 0);
        });
    });
}

/// A caller of `readable` that reads by itself does not spin when there is nothing.
#[test]
fn a_bare_wait_waits() {
    block_on(async {
        let (one, mut other) = Async::<UnixStream>::pair().unwrap();
        other.write_all(b"x").await.unwrap();
        one.readable().await.unwrap();
        one.get_ref().read_exact(&mut [0]).unwrap();
        assert!(future::poll_once(one.readable()).await.is_none());
        let mut late = one.readable();
        assert!(future::poll_once(&mut late).await.is_none());
        other.write_all(b"y").await.unwrap();
        late.await.unwrap();
    });
}

/// E9: hang-ups and errors are readiness.
#[test]
fn hang_ups_and_errors_are_readiness() {
    within(TEST_MAX, || {
        block_on(async {
            let (mut one, other) = Async::<UnixStream>::pair().unwrap();
            assert!(future::poll_once(one.read(&mut [0])).await.is_none());
            drop(other);
            assert_eq!(one.read(&mut [0]).await.unwrap(), 0);
            assert_eq!(one.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);

            // A reset: close with unread bytes.
            let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
            let addr = listener.get_ref().local_addr().unwrap();
            let mut client = Async::<TcpStream>::connect(addr).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            client.write_all(b"unread").await.unwrap();
            server.readable().await.unwrap();
            drop(server);
            let error = client.read(&mut [0]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);

            // Nobody listens, nor can anybody meanwhile: the port is taken.
            let taken = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
            bind(&taken, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
            let addr = SocketAddr::try_from(getsockname(&taken).unwrap()).unwrap();
            let error = Async::<TcpStream>::connect(addr).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        });
    });
}

/// E9: what a hang-up or an error leaves behind, while the other direction still waits, keeps nobody busy; and a write of nothing is none.
#[test]
fn hang_ups_do_not_spin() {
    within(TEST_MAX, || {
        on_a_worker(async {
            // Half closed by the other side, whose own buffer is full: our writer waits for it.
            let (mut half, mut other) = Async::<UnixStream>::pair().unwrap();
            assert_eq!(half.write(&[]).await.unwrap(), 0);
            other.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(half.read(&mut [0]).await.unwrap(), 0);
            let full = [0; 65_536];
            while future::poll_once(half.write(&full)).await.is_some() {}
            // A pipe without a reader.
            let (gone, peer) = UnixStream::pair().unwrap();
            let mut gone = Async::new(gone).unwrap();
            assert!(future::poll_once(gone.readable()).await.is_none());
            drop(peer);
            assert_eq!(gone.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            future::or(async { half.write_all(&full).await.unwrap() }, stay_idle()).await;
            // The edge was not lost meanwhile.
            let mut buffer = vec![0; 1 << 20];
            let drain = async {
                loop {
                    other.read(&mut buffer).await.unwrap();
                }
            };
            future::or(async { half.write_all(&full).await.unwrap() }, drain).await;
        });
    });
}

/// E11: several wait for the same direction of the same socket.
#[test]
fn two_waiters_for_one_direction() {
    within(TEST_MAX, || {
        let runtime = Runtime::builder().workers(2).build().unwrap();
        for _ in 0..200 {
            let (one, mut other) = Async::<UnixStream>::pair().unwrap();
            let one = std::sync::Arc::new(one);
            let readers: Vec<_> = (0..8)
                .map(|i| {
                    let one = one.clone();
                    runtime.spawn(async move {
                        let mut byte = [0];
                        match i % 3 {
                            0 => one.read_with(|mut io| io.read(&mut byte)).await.unwrap(),
                            1 => (&*one).read(&mut byte).await.unwrap(),
                            _ => loop {
                                one.readable().await.unwrap();
                                match one.get_ref().read(&mut byte) {
                                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                                    result => break result.unwrap(),
                                }
                            },
                        }
                    })
                })
                .collect();
            block_on(async {
                for _ in 0..readers.len() {
                    other.write_all(b"x").await.unwrap();
                    future::yield_now().await;
                }
                for reader in readers {
                    assert_eq!(reader.await, 1);
                }
            });
        }
    });
}

/// Pipes of std, where the build script has found them.
#[cfg(smolkit_std_pipe)]
#[allow(clippy::incompatible_msrv)]
#[test]
fn pipes_of_std() {
    within(TEST_MAX, || {
        let (reader, writer) = io::pipe().unwrap();
        let (mut reader, mut writer) = (Async::new(reader).unwrap(), Async::new(writer).unwrap());
        let data: Vec<u8> = (0..1_000_000).map(|byte| byte as u8).collect();
        let mut received = Vec::new();
        block_on(future::try_zip(
            async {
                writer.write_all(&data).await?;
                drop(writer);
                Ok(())
            },
            reader.read_to_end(&mut received),
        ))
        .unwrap();
        assert_eq!(received, data);
    });
}

/// A source outlives the runtime that watched it, and finds another.
#[test]
fn a_source_outlives_its_runtime() {
    within(TEST_MAX, || {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let (mut one, mut other) = block_on(runtime.spawn(async {
            let (mut one, other) = Async::<UnixStream>::pair().unwrap();
            assert!(future::poll_once(one.read(&mut [0])).await.is_none());
            (one, other)
        }));
        let reader = std::thread::spawn(move || {
            let mut byte = [0];
            block_on(one.read_exact(&mut byte)).unwrap();
            byte
        });
        drop(runtime);
        block_on(other.write_all(b"z")).unwrap();
        assert_eq!(&reader.join().unwrap(), b"z");
    });
}

/// A waker that nobody has called is foreign code to the thread that drives the poller: it is dropped by who drops the source, though
/// the driver may hold the source at that moment because of an event for the other direction.
#[test]
fn a_waker_is_dropped_by_who_drops_the_source() {
    struct Foreign {
        owner: ThreadId,
        is_called: AtomicBool,
        strays: Arc<AtomicUsize>,
    }
    impl Wake for Foreign {
        fn wake(self: Arc<Self>) {
            self.is_called.store(true, Ordering::SeqCst);
        }
    }
    impl Drop for Foreign {
        fn drop(&mut self) {
            if !self.is_called.load(Ordering::SeqCst) && thread::current().id() != self.owner {
                self.strays.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    within(TEST_MAX, || {
        let strays = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        // Drives the shard of all threads that are no workers.
        let driver = {
            let stop = stop.clone();
            thread::spawn(move || {
                block_on(async {
                    while !stop.load(Ordering::SeqCst) {
                        Timer::after(Duration::from_micros(50)).await;
                    }
                });
            })
        };
        let (stream, _peer) = UnixStream::pair().unwrap();
        for _ in 0..rounds(20_000, 1_000_000) {
            let source = Async::new(&stream).unwrap();
            let waker = Waker::from(Arc::new(Foreign {
                owner: thread::current().id(),
                is_called: AtomicBool::new(false),
                strays: strays.clone(),
            }));
            // The registration itself is an event for the other direction.
            let polled = source.poll_readable(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            drop(waker);
            drop(source);
        }
        stop.store(true, Ordering::SeqCst);
        driver.join().unwrap();
        assert_eq!(strays.load(Ordering::SeqCst), 0);
    });
}
