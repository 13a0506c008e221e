//! Goal: a task that does not come back holds up nobody else (FAULTS R11), and tasks that never wait starve neither I/O nor timers nor
//! tasks spawned from outside (FAULTS R13).
//! Method: ticks and a loopback echo beside tasks that spin or wake themselves for ever. Bounds are generous: the figures belong to benches.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use smolkit_runtime::{Async, Executor, Runtime, Timer, block_on, spawn};
use support::{rounds, within};

const LIMIT: Duration = Duration::from_secs(60);
/// No single tick or echo may be later, on any machine.
const LATE_MAX: Duration = Duration::from_secs(1);

/// An echo connection served by a task of the present runtime; the other end is a plain socket.
async fn echo_connection() -> TcpStream {
    let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
    let client = TcpStream::connect(listener.get_ref().local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let (mut served, _) = listener.accept().await.unwrap();
    spawn(async move {
        let mut byte = [0];
        while served.read_exact(&mut byte).await.is_ok() {
            served.write_all(&byte).await.unwrap();
        }
    })
    .detach();
    client
}

fn echo(client: &mut TcpStream) -> Duration {
    let start = Instant::now();
    client.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
    start.elapsed()
}

/// Ticks every 10 ms until told to stop; returns how many there were, and how late the latest.
async fn ticks(stop: Arc<AtomicBool>) -> (usize, Duration) {
    let (mut count, mut latest) = (0, Duration::ZERO);
    while !stop.load(Ordering::SeqCst) {
        let due = Instant::now() + Duration::from_millis(10);
        Timer::at(due).await;
        latest = latest.max(due.elapsed());
        count += 1;
    }
    (count, latest)
}

#[test]
fn one_spinning_worker_of_two() {
    within(LIMIT, || {
        let spin = Duration::from_millis(rounds(1_000, 5_000) as u64);
        let runtime = Runtime::builder().workers(2).build().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        // Sockets and timers of either worker: whichever of them spins, some are in its shard.
        let mut clients: Vec<_> =
            (0..8).map(|_| block_on(runtime.spawn(echo_connection()))).collect();
        let tickers: Vec<_> = (0..8).map(|_| runtime.spawn(ticks(stop.clone()))).collect();
        for client in &mut clients {
            echo(client);
        }
        let (spins, is_spinning) = mpsc::channel();
        let spinner = runtime.spawn(async move {
            spins.send(()).unwrap();
            let end = Instant::now() + spin;
            while Instant::now() < end {
                std::hint::spin_loop();
            }
        });
        is_spinning.recv().unwrap();
        let end = Instant::now() + spin;
        let (mut echoes, mut latest) = (0, Duration::ZERO);
        while Instant::now() < end {
            for client in &mut clients {
                latest = latest.max(echo(client));
                echoes += 1;
            }
        }
        stop.store(true, Ordering::SeqCst);
        block_on(async {
            for ticker in tickers {
                let (count, late) = ticker.await;
                assert!(count > 10, "{count} ticks");
                assert!(late < LATE_MAX, "a tick came {late:?} late");
            }
            spinner.await;
        });
        assert!(latest < LATE_MAX, "an echo took {latest:?}; {echoes} were made");
        assert!(runtime.metrics().stalls() > 0, "the stall was seen");
    });
}

/// What was registered before the worker got stuck is served by the other one, and the task behind the stuck one too.
#[test]
fn the_shard_of_a_sleeping_worker() {
    within(LIMIT, || {
        let runtime = Runtime::builder().workers(2).build().unwrap();
        let (release, gate) = mpsc::channel::<()>();
        let (done, is_done) = mpsc::channel();
        runtime
            .spawn(async move {
                let ticked = done.clone();
                spawn(async move {
                    Timer::after(Duration::from_millis(20)).await;
                    ticked.send("timer").unwrap();
                })
                .detach();
                future::yield_now().await;
                spawn(async move { done.send("task").unwrap() }).detach();
                // Until both have come: only the other worker can serve them.
                let _ = gate.recv();
            })
            .detach();
        let mut come = [is_done.recv().unwrap(), is_done.recv().unwrap()];
        come.sort_unstable();
        assert_eq!(come, ["task", "timer"]);
        drop(release);
    });
}

#[test]
fn self_wakers() {
    within(LIMIT, || {
        for workers in [1, 2] {
            let runtime = Runtime::builder().workers(workers).build().unwrap();
            let stop = Arc::new(AtomicBool::new(false));
            for _ in 0..2 * workers {
                let stop = stop.clone();
                runtime
                    .spawn(async move {
                        while !stop.load(Ordering::SeqCst) {
                            future::yield_now().await;
                        }
                    })
                    .detach();
            }
            let ticker = runtime.spawn(ticks(stop.clone()));
            let mut client = block_on(runtime.spawn(echo_connection()));
            for _ in 0..rounds(200, 2_000) {
                let late = echo(&mut client);
                assert!(late < LATE_MAX, "an echo took {late:?}");
                let start = Instant::now();
                block_on(runtime.spawn(async {}));
                let late = start.elapsed();
                assert!(late < LATE_MAX, "a task from outside took {late:?}");
            }
            stop.store(true, Ordering::SeqCst);
            let (_, late) = block_on(ticker);
            assert!(late < LATE_MAX, "a tick came {late:?} late");
        }
    });
}

/// A task that always finds something to read: on a worker, in an executor, in `block_on` itself.
#[test]
fn a_socket_that_never_runs_dry() {
    fn feed(stop: Arc<AtomicBool>) -> (Async<TcpStream>, thread::JoinHandle<()>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let feeder = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let chunk = vec![0; 256 * 1024];
            while !stop.load(Ordering::SeqCst) && socket.write_all(&chunk).is_ok() {}
        });
        (Async::new(TcpStream::connect(address).unwrap()).unwrap(), feeder)
    }
    async fn read_for_ever(mut socket: Async<TcpStream>) {
        // Byte by byte: the feeder is always ahead.
        while socket.read(&mut [0]).await.is_ok_and(|count| count > 0) {}
    }
    within(LIMIT, || {
        let stop = Arc::new(AtomicBool::new(false));
        let ten_ticks = || async {
            for _ in 0..10 {
                Timer::after(Duration::from_millis(1)).await;
            }
        };
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let (socket, feeder) = feed(stop.clone());
        let reader = runtime.spawn(read_for_ever(socket));
        block_on(runtime.spawn(ten_ticks()));
        drop(reader);

        let (socket, other_feeder) = feed(stop.clone());
        block_on(future::or(read_for_ever(socket), ten_ticks()));

        let (socket, third_feeder) = feed(stop.clone());
        let executor = Executor::new();
        executor.spawn(read_for_ever(socket)).detach();
        block_on(executor.run(ten_ticks()));

        stop.store(true, Ordering::SeqCst);
        drop((executor, runtime));
        for feeder in [feeder, other_feeder, third_feeder] {
            feeder.join().unwrap();
        }
    });
}
