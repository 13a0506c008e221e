//! Goal: a pool that is full of stuck jobs says so, hurts nothing else, and goes on when they let it (FAULTS K1).
//! Method: every thread's job waits for one that is queued behind them; timers and sockets run meanwhile; then the limit is raised. One test in
//! this file: the pool is the process's.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use futures_lite::future;
use smolkit_runtime::blocking::{Limits, metrics, set_limits};
use smolkit_runtime::{Async, Timer, block_on, unblock};
use support::{TEST_MAX, rounds, wait_until, within};

#[test]
fn jobs_that_wait_for_the_next_one() {
    let threads = rounds(8, 500);
    within(TEST_MAX, move || {
        let mut limits = Limits::default();
        limits.threads_max = threads;
        set_limits(limits.clone());
        let (release, gate) = gates(threads);
        let stuck: Vec<_> = gate.into_iter().map(|gate| unblock(move || gate.recv())).collect();
        wait_until("all jobs are stuck", || {
            let now = metrics();
            (now.threads, now.idle, now.queued) == (threads, 0, 0)
        });
        let next = unblock(move || release.iter().for_each(|gate| gate.send(()).unwrap()));
        assert_eq!(metrics().queued, 1, "the queue's depth is visible");

        // Nothing that does not need the pool is touched.
        block_on(async {
            Timer::after(Duration::from_millis(1)).await;
            echo().await;
        });
        let now = metrics();
        assert_eq!((now.threads, now.queued), (threads, 1), "the limit holds");

        // One more thread is what they need.
        limits.threads_max = threads + 1;
        set_limits(limits);
        block_on(async {
            next.await;
            for job in stuck {
                job.await.unwrap();
            }
        });
        let now = metrics();
        assert_eq!((now.queued, now.begun), (0, threads as u64 + 1));
    });
}

fn gates(count: usize) -> (Vec<mpsc::Sender<()>>, Vec<mpsc::Receiver<()>>) {
    (0..count).map(|_| mpsc::channel()).unzip()
}

async fn echo() {
    let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
    let address = listener.get_ref().local_addr().unwrap();
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut byte = [0];
        assert_eq!(stream.read_with(|mut stream| stream.read(&mut byte)).await.unwrap(), 1);
        stream.write_with(|mut stream| stream.write(&byte)).await.unwrap();
    };
    let client = async {
        let stream = Async::<TcpStream>::connect(address).await.unwrap();
        stream.write_with(|mut stream| stream.write(b"x")).await.unwrap();
        let mut byte = [0];
        stream.read_with(|mut stream| stream.read(&mut byte)).await.unwrap();
        assert_eq!(&byte, b"x");
    };
    future::zip(server, client).await;
}
