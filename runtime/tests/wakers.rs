//! Goal: foreign wakers may do what they like: call back into what they wait for (FAULTS R7), or panic (FAULTS R8).
//! Method: wakers whose clone, wake and drop each use the same object again, or of which one panics; every primitive of the runtime is polled with one
//! waker, with another one, woken, and dropped.

mod support;

use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::thread;
use std::time::Duration;

use smolkit_runtime::{Async, Executor, LocalExecutor, Runtime, Timer, block_on, spawn, unblock};
use support::{TEST_MAX, forget_reachable, keep, quiet_panics, wait_until, within};

/// A waker that calls `hook` whenever it is cloned, woken or dropped.
struct Reentrant {
    hook: Box<dyn Fn() + Send + Sync>,
    woken: AtomicUsize,
}

impl Reentrant {
    fn new(hook: impl Fn() + Send + Sync + 'static) -> Arc<Reentrant> {
        Arc::new(Reentrant { hook: Box::new(hook), woken: AtomicUsize::new(0) })
    }

    fn waker(self: &Arc<Self>) -> Waker {
        // SAFETY: the vtable's functions treat the pointer as the `Arc` that it comes from: one count for each waker.
        unsafe { Waker::from_raw(raw(self.clone())) }
    }

    fn woken(&self) -> usize {
        self.woken.load(Ordering::SeqCst)
    }
}

fn raw(reentrant: Arc<Reentrant>) -> RawWaker {
    static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, release);
    RawWaker::new(Arc::into_raw(reentrant).cast(), &VTABLE)
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: a waker that is being cloned holds a count.
    unsafe { Arc::increment_strong_count(data.cast::<Reentrant>()) };
    // SAFETY: the count of one line above.
    let reentrant = unsafe { Arc::from_raw(data.cast::<Reentrant>()) };
    (reentrant.hook)();
    raw(reentrant)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: the caller's promise.
    unsafe { wake_by_ref(data) };
    // SAFETY: the waker is used up.
    unsafe { release(data) };
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: the waker holds a count meanwhile.
    let reentrant = unsafe { &*data.cast::<Reentrant>() };
    reentrant.woken.fetch_add(1, Ordering::SeqCst);
    (reentrant.hook)();
}

unsafe fn release(data: *const ()) {
    // SAFETY: the waker's count goes over to us.
    let reentrant = unsafe { Arc::from_raw(data.cast::<Reentrant>()) };
    (reentrant.hook)();
}

/// Polls `future` with two such wakers in turn, has it woken, and drops it unfinished; another one is polled to its end.
fn try_with<F: Future + Unpin>(
    mut make: impl FnMut() -> F,
    hook: impl Fn() + Send + Sync + Clone + 'static,
    mut event: impl FnMut(&mut F),
) {
    let (one, other) = (Reentrant::new(hook.clone()), Reentrant::new(hook));
    for must_finish in [false, true] {
        let mut future = make();
        let (first, second) = (one.waker(), other.waker());
        assert!(Pin::new(&mut future).poll(&mut Context::from_waker(&first)).is_pending());
        assert!(Pin::new(&mut future).poll(&mut Context::from_waker(&second)).is_pending());
        let mut before = other.woken();
        assert!(Pin::new(&mut future).poll(&mut Context::from_waker(&second)).is_pending());
        drop(first);
        if must_finish {
            event(&mut future);
            // Called since the last poll, maybe for nothing: an event of earlier may have been in a driver's hands. Then it has to be polled, and is called again.
            loop {
                wait_until("the second waker is called", || other.woken() > before);
                before = other.woken();
                if Pin::new(&mut future).poll(&mut Context::from_waker(&second)).is_ready() {
                    break;
                }
            }
        }
    }
}

fn timers() {
    let hook = || {
        let mut timer = Timer::after(Duration::from_secs(100));
        let _ = Pin::new(&mut timer).poll(&mut Context::from_waker(Waker::noop()));
        timer.set_after(Duration::from_secs(50));
    };
    let soon = |timer: &mut Timer| timer.set_after(Duration::from_millis(20));
    try_with(|| Timer::after(Duration::from_secs(3_600)), hook, soon);
}

fn sockets() {
    let (one, other) = Async::<UnixStream>::pair().unwrap();
    let (one, other) = (Arc::new(one), Arc::new(other));
    let hook = {
        let one = one.clone();
        move || {
            let cx = &mut Context::from_waker(Waker::noop());
            let _ = one.poll_readable(cx);
            let _ = one.poll_writable(cx);
            let _ = pin!(one.readable()).poll(cx);
        }
    };
    let send = || other.get_ref().write_all(b"x").unwrap();
    try_with(|| one.readable(), hook.clone(), |_| send());
    let read = || {
        let one = one.clone();
        Box::pin(async move { one.read_with(|mut socket| socket.read(&mut [0; 16])).await })
    };
    block_on(read()).unwrap();
    try_with(read, hook, |_| send());
}

fn executors() {
    let executor: &'static Executor<'static> = keep(Executor::new());
    let hook = || executor.spawn(async {}).detach();
    // Nobody is to find the hook's own tasks before the event.
    let drain = || while executor.try_tick() {};
    let (one, other) = (Reentrant::new(hook), Reentrant::new(hook));
    let (first, second) = (one.waker(), other.waker());
    let mut run = pin!(executor.run(std::future::pending::<()>()));
    for waker in [&first, &second, &second] {
        assert!(run.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
    }
    drain();
    // The hook's own tasks may end a tick at once.
    let mut tick = Box::pin(executor.tick());
    let mut cx = Context::from_waker(&first);
    if tick.as_mut().poll(&mut cx).is_pending() {
        let _ = tick.as_mut().poll(&mut Context::from_waker(&second));
    }
    executor.spawn(async {}).detach();
    assert!(one.woken() + other.woken() > 0);
    drop((tick, first, second));
}

fn tasks() {
    let hook = || spawn(async {}).detach();
    let is_open = Arc::new(AtomicBool::new(false));
    let make = || {
        let is_open = is_open.clone();
        unblock(move || wait_until("the event", || is_open.load(Ordering::SeqCst)))
    };
    try_with(make, hook, |_| is_open.store(true, Ordering::SeqCst));
}

/// A thread that is in `block_on`.
struct Driver(Arc<AtomicBool>, thread::JoinHandle<()>);

impl Driver {
    fn start() -> Driver {
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = is_over.clone();
        let thread = thread::spawn(move || {
            block_on(async {
                while !seen.load(Ordering::SeqCst) {
                    Timer::after(Duration::from_millis(50)).await;
                }
            });
        });
        Driver(is_over, thread)
    }

    fn end(self) {
        self.0.store(true, Ordering::SeqCst);
        self.1.join().unwrap();
    }
}

#[test]
fn reentrant_outside() {
    within(TEST_MAX, || {
        timers();
        sockets();
        executors();
        tasks();
    });
}

#[test]
fn reentrant_in_block_on() {
    within(TEST_MAX, || {
        // Another thread drives meanwhile, and calls the wakers.
        let driver = Driver::start();
        block_on(async { timers() });
        block_on(async { sockets() });
        block_on(async { executors() });
        block_on(async { tasks() });
        driver.end();
    });
}

#[test]
fn reentrant_in_a_task() {
    within(TEST_MAX, || {
        let runtime = Runtime::builder().workers(2).build().unwrap();
        for test in [timers, sockets, executors, tasks] {
            block_on(runtime.spawn(async move { test() }));
        }
    });
}

/// The hook of one waker enters `block_on` on the thread that calls it.
#[test]
fn block_on_in_a_waker() {
    within(TEST_MAX, || {
        let hook = || {
            block_on(Timer::after(Duration::from_millis(1)));
        };
        let reentrant = Reentrant::new(hook);
        let waker = reentrant.waker();
        let mut timer = Timer::after(Duration::from_secs(3_600));
        let poll = Pin::new(&mut timer).poll(&mut Context::from_waker(&waker));
        assert!(poll.is_pending());
        timer.set_after(Duration::from_millis(5));
        block_on(Timer::after(Duration::from_millis(20)));
        wait_until("the waker is called", || reentrant.woken() > 0);
    });
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("on purpose");
    }
}

/// Polls 100 futures, the one in the middle with a waker that panics.
fn poll_hundred<F: Future + Unpin>(mut make: impl FnMut() -> F) -> (Vec<F>, Arc<Count>) {
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let good = Waker::from(count.clone());
    let bad = Waker::from(Arc::new(Panics));
    let futures = (0..100).map(|i| {
        let mut future = make();
        let mut cx = Context::from_waker(if i == 50 { &bad } else { &good });
        assert!(Pin::new(&mut future).poll(&mut cx).is_pending());
        future
    });
    (futures.collect(), count)
}

/// 100 timers, and 100 waiters for one socket, in the shard of whoever calls this. The thread that wakes them is an innocent one.
fn one_of_a_hundred_panics() -> Vec<(usize, Arc<Count>)> {
    let (mut timers, timed) = poll_hundred(|| Timer::after(Duration::from_secs(3_600)));
    let soon = std::time::Instant::now() + Duration::from_millis(30);
    timers.iter_mut().for_each(|timer| timer.set_at(soon));
    keep(timers);
    let (one, other) = Async::<UnixStream>::pair().unwrap();
    let one: &'static Async<UnixStream> = keep(one);
    let (readers, read) = poll_hundred(|| one.readable());
    keep(readers);
    other.get_ref().write_all(b"x").unwrap();
    keep(other);
    vec![(99, timed), (99, read)]
}

fn expect_all(counts: Vec<(usize, Arc<Count>)>) {
    for (expected, count) in counts {
        wait_until("all others are woken", || count.0.load(Ordering::SeqCst) == expected);
    }
}

#[test]
fn one_of_a_hundred_panics_in_block_on() {
    quiet_panics();
    within(TEST_MAX, || {
        // Who drives is not who waits: and does not get the panic.
        let driver = Driver::start();
        let counts = block_on(async { one_of_a_hundred_panics() });
        expect_all(counts);
        // The panic of a foreign waker is nobody else's.
        driver.end();
        block_on(Timer::after(Duration::from_millis(1)));
    });
}

/// A runner whose waker panics keeps its place among those who sleep; the others are called.
#[test]
fn a_runner_of_two_panics() {
    quiet_panics();
    within(TEST_MAX, || {
        let executor: &'static Executor<'static> = keep(Executor::new());
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let (good, bad) = (Waker::from(count.clone()), Waker::from(Arc::new(Panics)));
        let mut runners: Vec<_> =
            (0..2).map(|_| Box::pin(executor.run(std::future::pending::<()>()))).collect();
        for (runner, waker) in runners.iter_mut().zip([&good, &bad]) {
            assert!(runner.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
        }
        // The last one to fall asleep is called first.
        executor.spawn(async {}).detach();
        assert_eq!(count.0.load(Ordering::SeqCst), 1, "the other one is called");
        for round in 2..10 {
            let mut cx = Context::from_waker(&good);
            assert!(runners[0].as_mut().poll(&mut cx).is_pending());
            executor.spawn(async {}).detach();
            assert_eq!(count.0.load(Ordering::SeqCst), round, "again and again");
        }
        for runner in &mut runners {
            assert!(runner.as_mut().poll(&mut Context::from_waker(&good)).is_pending());
        }
        assert!(executor.is_empty());
    });
}

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Polls the runner that it wakes, which sleeps again with a waker that does not panic, and panics then.
struct WakesAndPanics {
    runner: Mutex<Option<Running>>,
    good: Waker,
}

impl Wake for WakesAndPanics {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut runner = self.runner.lock().unwrap();
        let mut cx = Context::from_waker(&self.good);
        assert!(runner.as_mut().unwrap().as_mut().poll(&mut cx).is_pending());
        drop(runner);
        panic!("on purpose");
    }
}

/// A runner whose waker panics after it has woken it is up, and falls asleep again in a place of its own.
#[test]
fn a_runner_panics_too_late() {
    quiet_panics();
    within(TEST_MAX, || {
        let executor: &'static Executor<'static> = keep(Executor::new());
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let done = Arc::new(AtomicUsize::new(0));
        let spawn = || {
            let done = done.clone();
            executor.spawn(async move { done.fetch_add(1, Ordering::SeqCst) }).detach();
        };
        let good = Waker::from(count.clone());
        let bad = Arc::new(WakesAndPanics { runner: Mutex::default(), good: good.clone() });
        let mut runner: Running = Box::pin(executor.run(std::future::pending::<()>()));
        let waker = Waker::from(bad.clone());
        assert!(runner.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        *bad.runner.lock().unwrap() = Some(runner);
        spawn();
        assert_eq!(done.load(Ordering::SeqCst), 1, "woken before the panic");
        for round in 1..10 {
            spawn();
            assert_eq!(count.0.load(Ordering::SeqCst), round, "asleep, and called");
            let mut runner = bad.runner.lock().unwrap();
            let mut cx = Context::from_waker(&good);
            assert!(runner.as_mut().unwrap().as_mut().poll(&mut cx).is_pending());
            assert_eq!(done.load(Ordering::SeqCst), 1 + round);
        }
        bad.runner.lock().unwrap().take();
    });
}

/// The same on one thread, where the tasks do not outlive their executor either.
#[test]
fn a_local_runner_of_two_panics() {
    quiet_panics();
    within(TEST_MAX, || {
        let executor = LocalExecutor::new();
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let (good, bad) = (Waker::from(count.clone()), Waker::from(Arc::new(Panics)));
        let kept: Arc<Mutex<Vec<Waker>>> = Arc::default();
        let waits = {
            let kept = kept.clone();
            poll_fn(move |cx| {
                kept.lock().unwrap().push(cx.waker().clone());
                Poll::<()>::Pending
            })
        };
        executor.spawn(waits).detach();
        let mut runners: Vec<_> =
            (0..2).map(|_| Box::pin(executor.run(std::future::pending::<()>()))).collect();
        for (runner, waker) in runners.iter_mut().zip([&good, &bad]) {
            assert!(runner.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
        }
        executor.spawn(async {}).detach();
        assert_eq!(count.0.load(Ordering::SeqCst), 1, "the other one is called");
        for round in 2..10 {
            let mut cx = Context::from_waker(&good);
            assert!(runners[0].as_mut().poll(&mut cx).is_pending());
            // By turns from here and from another thread.
            if round % 2 == 0 {
                executor.spawn(async {}).detach();
            } else {
                let waker = kept.lock().unwrap()[0].clone();
                thread::spawn(move || waker.wake()).join().unwrap();
            }
            assert_eq!(count.0.load(Ordering::SeqCst), round, "again and again");
        }
        // Its place on the list is left behind: the end has nobody to call but the one that panics.
        forget_reachable(runners);
        drop(executor);
        kept.lock().unwrap().drain(..).for_each(Waker::wake);
    });
}

#[test]
fn one_of_a_hundred_panics_on_a_worker() {
    quiet_panics();
    within(TEST_MAX, || {
        for workers in [1, 2] {
            let runtime = Runtime::builder().workers(workers).build().unwrap();
            // One worker waits in a nested `block_on`, which the panic must not go through.
            let nested = runtime.spawn(async {
                block_on(async { Timer::after(Duration::from_millis(100)).await })
            });
            let counts = block_on(runtime.spawn(async { one_of_a_hundred_panics() }));
            expect_all(counts);
            block_on(nested);
            block_on(runtime.spawn(async { Timer::after(Duration::from_millis(1)).await }));
        }
    });
}

/// A waker of which somebody knows whether it still exists, and whether it was woken.
struct Counted {
    woken: AtomicUsize,
}

impl Wake for Counted {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::SeqCst);
    }
}

fn counted() -> (Arc<Counted>, Waker) {
    let counted = Arc::new(Counted { woken: AtomicUsize::new(0) });
    (counted.clone(), counted.into())
}

/// A socket on which nothing happens keeps few of those who have asked and gone, as a pooled connection has them; it would keep their memory as long as it lives.
#[test]
fn a_quiet_source_forgets_those_who_have_gone() {
    within(TEST_MAX, || {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let io = Async::new(ours).unwrap();
        let asked: Vec<_> = (0..10_000)
            .map(|_| {
                let (counted, waker) = counted();
                assert!(io.poll_readable(&mut Context::from_waker(&waker)).is_pending());
                Arc::downgrade(&counted)
            })
            .collect();
        let kept = asked.iter().filter(|counted| counted.strong_count() > 0).count();
        assert!(kept <= 200, "{kept} wakers are kept");
    });
}

/// Many who wait in earnest are not woken for ever on account of one another, and the event reaches all.
#[test]
fn many_pollers_settle_down() {
    const POLLERS: usize = 1_000;
    within(TEST_MAX, || {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let io = Async::new(ours).unwrap();
        let pollers: Vec<_> = (0..POLLERS).map(|_| counted()).collect();
        let poll = |waker: &Waker| io.poll_readable(&mut Context::from_waker(waker)).is_pending();
        assert!(pollers.iter().all(|(_, waker)| poll(waker)));
        let mut polls = 0;
        while let Some((counted, waker)) =
            pollers.iter().find(|(counted, _)| counted.woken.load(Ordering::SeqCst) > 0)
        {
            counted.woken.store(0, Ordering::SeqCst);
            assert!(poll(waker));
            polls += 1;
            assert!(polls <= 10 * POLLERS, "they wake each other for ever");
        }
        theirs.write_all(b"x").unwrap();
        wait_until("all are woken", || {
            pollers.iter().all(|(counted, _)| counted.woken.load(Ordering::SeqCst) > 0)
        });
    });
}
