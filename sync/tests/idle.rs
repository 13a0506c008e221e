//! Goal: who waits sleeps (FAULTS R23).
//! Method: one thread of every kind of waiting; then the processor time of the whole process, while all wait. `SMOLKIT_FULL=1` for 5 s. One
//! test in this file: the time is counted for the whole process.

#![cfg(unix)]

mod support;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_lite::future::block_on;
use rustix::time::{ClockId, clock_gettime};
use smolkit_sync::event::{Event, Listener};
use smolkit_sync::{
    Condvar, Notify, OnceCell, RateLimiter, SingleFlight, broadcast, channel, lock::Barrier,
    lock::Mutex, lock::RwLock, lock::Semaphore, mpsc, oneshot, watch,
};
use support::rounds;

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
fn all_kinds_of_waiting_sleep() {
    let mutex = Arc::new(Mutex::new(()));
    let locked = mutex.lock_arc_blocking();
    let rwlock = Arc::new(RwLock::new(()));
    let write_locked = rwlock.write_arc_blocking();
    let semaphore = Arc::new(Semaphore::new(0));
    let barrier = Arc::new(Barrier::new(2));
    let (full, _full_receiver) = channel::bounded(1);
    full.try_send(1).unwrap();
    let (_empty_sender, empty) = channel::unbounded::<u8>();
    let (full_mpsc, _full_mpsc_receiver) = mpsc::bounded(1);
    full_mpsc.try_send(1).unwrap();
    let closed_mpsc = full_mpsc.clone();
    let (_empty_mpsc_sender, mut empty_mpsc) = mpsc::unbounded::<u8>();
    let (_oneshot_sender, oneshot) = oneshot::channel::<u8>();
    let (unwanted_sender, _unwanted) = oneshot::channel::<u8>();
    let (watched_sender, _watching) = watch::channel(0);
    let cell = Arc::new(OnceCell::<u8>::new());
    let limiter = RateLimiter::new(NonZeroU32::MIN, Duration::MAX, NonZeroU32::MIN);
    limiter.try_acquire().unwrap();
    let (_watch_sender, mut watched) = watch::channel(0);
    let (_broadcast_sender, mut broadcast) = broadcast::broadcast::<u8>(1);
    let notify = Arc::new(Notify::new());
    let event = Arc::new(Event::<()>::new());
    let condvar = Arc::new((Mutex::new(()), Condvar::new()));
    let flights = Arc::new(SingleFlight::<u8, u8>::new());
    let joined = flights.clone();
    let read = rwlock.clone();

    let waits: Vec<Box<dyn FnOnce() + Send>> = vec![
        Box::new(move || drop(mutex.lock_blocking())),
        Box::new(move || drop(rwlock.write_blocking())),
        Box::new(move || drop(read.read_blocking())),
        Box::new(move || drop(semaphore.acquire_blocking())),
        Box::new(move || assert!(barrier.wait_blocking().is_leader())),
        Box::new(move || full.send_blocking(2).unwrap()),
        Box::new(move || assert!(empty.recv_blocking().is_ok())),
        Box::new(move || full_mpsc.send_blocking(2).unwrap()),
        Box::new(move || block_on(closed_mpsc.closed())),
        Box::new(move || assert!(empty_mpsc.recv_blocking().is_ok())),
        Box::new(move || assert!(oneshot.recv_blocking().is_ok())),
        Box::new(move || block_on(unwanted_sender.closed())),
        Box::new(move || watched.changed_blocking().unwrap()),
        Box::new(move || block_on(watched_sender.closed())),
        Box::new(move || assert_eq!(cell.wait_blocking(), &1)),
        Box::new(move || limiter.acquire_blocking()),
        Box::new(move || assert!(broadcast.recv_blocking().is_ok())),
        Box::new(move || notify.notified_blocking()),
        Box::new(move || event.listen().wait()),
        Box::new(move || drop(condvar.1.wait_blocking(condvar.0.lock_blocking()))),
        Box::new(move || assert_eq!(flights.run_blocking(1, std::future::pending), 1)),
        Box::new(move || assert_eq!(joined.run_blocking(1, std::future::pending), 1)),
    ];
    let count = waits.len();
    let (ready, all_ready) = std::sync::mpsc::channel();
    for wait in waits {
        let ready = ready.clone();
        thread::spawn(move || {
            ready.send(()).unwrap();
            wait();
            panic!("nothing ends this wait");
        });
    }
    for _ in 0..count {
        all_ready.recv().unwrap();
    }
    // They may still be on their way to sleep: wait for a while in which the process did next to nothing. A spinning thread would
    // use up all of it.
    let length = Duration::from_secs(rounds(1, 5) as u64);
    let mut used = Duration::MAX;
    for _ in 0..5 {
        let start = processor_time();
        thread::sleep(length);
        used = processor_time() - start;
        if used < Duration::from_millis(10) {
            break;
        }
    }
    assert!(used < Duration::from_millis(10), "{used:?} of processor time in {length:?}");
    drop((locked, write_locked));
}
