//! Goal: a task that does not come back holds up nobody else (FAULTS R11), and tasks that never wait starve neither I/O nor timers nor
//! tasks spawned from outside (FAULTS R13).
//! Method: ticks and a loopback echo beside tasks that spin until both have gone on, or wake themselves for ever and count their turns. The figures in time belong to benches.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::{AsyncRead, AsyncReadExt, AsyncWriteExt, StreamExt, future};
use smolkit_runtime::time::{interval_at, sleep};
use smolkit_runtime::{Async, Executor, Runtime, Timer, block_on, spawn};
use support::{STEP_MAX, TEST_MAX, rounds, wait_until, within};

/// A task that never rests has no more turns between a deadline and its tick, on one worker.
const TURNS_MAX: usize = 1_000;

/// An echo connection served by a task of the present runtime; the other end is a plain socket.
async fn echo_connection() -> TcpStream {
    let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
    let client = TcpStream::connect(listener.get_ref().local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(STEP_MAX)).unwrap();
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

fn echo(client: &mut TcpStream) {
    client.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
}

/// A ticker, and how late it is in the turns of a task that never rests.
#[derive(Default)]
struct Ticker {
    stop: AtomicBool,
    count: AtomicUsize,
    due: Mutex<Option<Instant>>,
    late: AtomicUsize,
}

impl Ticker {
    /// Ticks every 10 ms until told to stop; returns how late the latest was.
    async fn run(self: Arc<Ticker>) -> usize {
        let mut latest = 0;
        while !self.stop.load(Ordering::SeqCst) {
            let due = Instant::now() + Duration::from_millis(10);
            *self.due.lock().unwrap() = Some(due);
            Timer::at(due).await;
            *self.due.lock().unwrap() = None;
            latest = latest.max(self.late.swap(0, Ordering::SeqCst));
            self.count.fetch_add(1, Ordering::SeqCst);
        }
        latest
    }

    /// Another task has a turn.
    fn turn(&self) {
        if self.due.lock().unwrap().is_some_and(|due| due <= Instant::now()) {
            self.late.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// The spin ends when all that should go on beside it has gone on.
#[test]
fn one_spinning_worker_of_two() {
    within(TEST_MAX, || {
        let spin = Duration::from_millis(rounds(1_000, 5_000) as u64);
        let runtime = Runtime::builder().workers(2).build().unwrap();
        // Sockets and timers of either worker: whichever of them spins, some are in its shard.
        let mut clients: Vec<_> =
            (0..8).map(|_| block_on(runtime.spawn(echo_connection()))).collect();
        let tickers: Vec<_> = (0..8).map(|_| Arc::new(Ticker::default())).collect();
        let ticking: Vec<_> =
            tickers.iter().map(|ticker| runtime.spawn(ticker.clone().run())).collect();
        for client in &mut clients {
            echo(client);
        }
        let (spins, is_spinning) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let spinner = runtime.spawn({
            let stop = stop.clone();
            async move {
                spins.send(()).unwrap();
                // If the others fail, it is not to spin for ever.
                let end = Instant::now() + 2 * STEP_MAX;
                while !stop.load(Ordering::SeqCst) && Instant::now() < end {
                    std::hint::spin_loop();
                }
            }
        });
        is_spinning.recv().unwrap();
        let start = Instant::now();
        let ticks = || tickers.iter().map(|ticker| ticker.count.load(Ordering::SeqCst));
        let before: Vec<_> = ticks().collect();
        let go_on = || ticks().zip(&before).all(|(now, before)| now > before + 10);
        let mut echoes = 0;
        while start.elapsed() < spin || !go_on() || runtime.metrics().stalls() == 0 {
            for client in &mut clients {
                echo(client);
                echoes += 1;
            }
            let stalls = runtime.metrics().stalls();
            let counts = || ticks().collect::<Vec<_>>();
            assert!(
                start.elapsed() < STEP_MAX,
                "{echoes} echoes, {stalls} stalls seen, ticks {:?}",
                counts()
            );
        }
        stop.store(true, Ordering::SeqCst);
        tickers.iter().for_each(|ticker| ticker.stop.store(true, Ordering::SeqCst));
        block_on(async {
            for ticking in ticking {
                ticking.await;
            }
            spinner.await;
        });
    });
}

/// What was registered before the worker got stuck is served by the other one, and the task behind the stuck one too.
#[test]
fn the_shard_of_a_sleeping_worker() {
    within(TEST_MAX, || {
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
    within(TEST_MAX, || {
        for workers in [1, 2] {
            let runtime = Runtime::builder().workers(workers).build().unwrap();
            let ticker = Arc::new(Ticker::default());
            for _ in 0..2 * workers {
                let ticker = ticker.clone();
                runtime
                    .spawn(async move {
                        while !ticker.stop.load(Ordering::SeqCst) {
                            ticker.turn();
                            future::yield_now().await;
                        }
                    })
                    .detach();
            }
            let ticking = runtime.spawn(ticker.clone().run());
            let mut client = block_on(runtime.spawn(echo_connection()));
            for _ in 0..rounds(200, 2_000) {
                echo(&mut client);
                block_on(runtime.spawn(async {}));
            }
            // With two, it may be in the hands of a worker that has not got to it.
            wait_until("a tick has come", || ticker.count.load(Ordering::SeqCst) > 0);
            ticker.stop.store(true, Ordering::SeqCst);
            let late = block_on(ticking);
            // With two, the other one has its turns while the ticker's own waits for a core.
            assert!(workers > 1 || late < TURNS_MAX, "a tick came {late} turns late");
        }
    });
}

/// A socket that somebody writes to for ever.
fn endless(stop: Arc<AtomicBool>) -> (Async<TcpStream>, thread::JoinHandle<()>) {
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

/// A task that always finds something to read: on a worker, in an executor, in `block_on` itself.
#[test]
fn a_socket_that_never_runs_dry() {
    within(TEST_MAX, || {
        let stop = Arc::new(AtomicBool::new(false));
        let ten_ticks = || async {
            for _ in 0..10 {
                Timer::after(Duration::from_millis(1)).await;
            }
        };
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let (socket, feeder) = endless(stop.clone());
        let reader = runtime.spawn(read_for_ever(socket));
        block_on(runtime.spawn(ten_ticks()));
        drop(reader);

        let (socket, other_feeder) = endless(stop.clone());
        block_on(future::or(read_for_ever(socket), ten_ticks()));

        let (socket, third_feeder) = endless(stop.clone());
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

/// A task that takes one timer after the other which has come already: on a worker, and in `block_on` itself.
#[test]
fn timers_that_have_come_already() {
    async fn ten_ticks() {
        for _ in 0..10 {
            Timer::after(Duration::from_millis(1)).await;
        }
    }
    async fn sleeps() {
        loop {
            sleep(Duration::ZERO).await;
        }
    }
    async fn ticks() {
        // One for each nanosecond that there has been: more than anybody takes in time.
        let mut ticks = interval_at(Instant::now(), Duration::from_nanos(1));
        loop {
            ticks.tick().await;
        }
    }
    async fn smols() {
        let mut timer = Timer::interval(Duration::ZERO);
        while timer.next().await.is_some() {}
    }
    within(TEST_MAX, || {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        for busy in [runtime.spawn(sleeps()), runtime.spawn(ticks()), runtime.spawn(smols())] {
            block_on(runtime.spawn(ten_ticks()));
            drop(busy);
        }
        block_on(future::or(sleeps(), ten_ticks()));
        block_on(future::or(ticks(), ten_ticks()));
        block_on(future::or(smols(), ten_ticks()));
    });
}

/// A task that waits for more sockets than it may serve in one poll hears of each of them, and sleeps until then.
#[test]
fn a_task_that_waits_for_many_sockets() {
    const SOCKETS: usize = 200;
    /// How many polls it takes to hear of the last socket.
    async fn last_of_many() -> usize {
        let pairs = (0..SOCKETS).map(|_| UnixStream::pair().unwrap());
        let (ours, theirs): (Vec<_>, Vec<_>) = pairs.unzip();
        let mut ours: Vec<_> = ours.into_iter().map(|one| Async::new(one).unwrap()).collect();
        let mut polls = 0;
        future::poll_fn(|cx| {
            polls += 1;
            for (index, one) in ours.iter_mut().enumerate() {
                if let Poll::Ready(result) = Pin::new(one).poll_read(cx, &mut [0]) {
                    assert_eq!((index, result.unwrap()), (SOCKETS - 1, 1));
                    return Poll::Ready(polls);
                }
            }
            if polls == 1 {
                (&theirs[SOCKETS - 1]).write_all(b"x").unwrap();
            }
            Poll::Pending
        })
        .await
    }
    within(TEST_MAX, || {
        assert_eq!(block_on(last_of_many()), 2);
        let runtime = Runtime::builder().workers(1).build().unwrap();
        assert_eq!(block_on(runtime.spawn(last_of_many())), 2);
        let executor = Executor::new();
        assert_eq!(block_on(executor.run(executor.spawn(last_of_many()))), 2);
    });
}

/// What stands beside a socket that never runs dry, in the same task, goes on: sockets, and timers that have come already or come later.
#[test]
fn beside_a_socket_that_never_runs_dry() {
    async fn neighbour() {
        let (mut one, mut other) = Async::<UnixStream>::pair().unwrap();
        for _ in 0..100 {
            other.write_all(b"x").await.unwrap();
            one.read_exact(&mut [0]).await.unwrap();
            other.write_with(|mut io| io.write(b"x")).await.unwrap();
            one.read_with(|mut io| io.read(&mut [0])).await.unwrap();
            sleep(Duration::ZERO).await;
            Timer::after(Duration::ZERO).await;
            sleep(Duration::from_micros(10)).await;
        }
    }
    within(TEST_MAX, || {
        let stop = Arc::new(AtomicBool::new(false));
        let (socket, feeder) = endless(stop.clone());
        let runtime = Runtime::builder().workers(1).build().unwrap();
        block_on(runtime.spawn(future::or(read_for_ever(socket), neighbour())));
        let (socket, other_feeder) = endless(stop.clone());
        block_on(future::or(read_for_ever(socket), neighbour()));
        stop.store(true, Ordering::SeqCst);
        feeder.join().unwrap();
        other_feeder.join().unwrap();
    });
}
