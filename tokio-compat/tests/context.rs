//! Goal: a future finds Tokio whenever its own code runs, and at no other time; what ends, ends cleanly.
//! Method: futures that look at their context in each poll and in their destructors, on our executor and on a foreign one; threads are counted by name.

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::{StreamExt, future, stream};
use smolkit_runtime::{Runtime, Timer, block_on, spawn};
use smolkit_tokio_compat::{InContext, TokioContext, compat};
use tokio::runtime::Handle;
use tokio::time::sleep;

/// Fails if `f` takes longer than 60 s.
fn within<T>(f: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(Duration::from_secs(60)).await;
        panic!("not finished after 60 s")
    };
    block_on(future::or(f, late))
}

/// What most crates on Tokio do: spawn, sleep, and use the pool for blocking work.
async fn work() -> u32 {
    sleep(Duration::from_millis(2)).await;
    let spawned = tokio::spawn(async {
        sleep(Duration::from_millis(2)).await;
        thread::current().name().map(str::to_owned)
    });
    assert_eq!(spawned.await.unwrap().as_deref(), Some("smolkit-tokio"));
    tokio::task::spawn_blocking(|| 7).await.unwrap()
}

#[test]
fn on_every_executor() {
    assert_eq!(within(async { compat(work()).unwrap().await }), 7);
    let runtime = Runtime::builder().workers(2).build().unwrap();
    assert_eq!(block_on(runtime.spawn(async { compat(work()).unwrap().await })), 7);
    let local = smolkit_runtime::LocalExecutor::new();
    let task = local.spawn(async { compat(work()).unwrap().await });
    assert_eq!(within(local.run(task)), 7);
    assert_eq!(futures_executor::block_on(async { compat(work()).unwrap().await }), 7);
}

#[test]
fn our_own_types_work_inside() {
    within(async {
        let both = compat(async {
            let ours = Timer::after(Duration::from_millis(5));
            let (_, slept) = future::zip(ours, spawn(async { 3 })).await;
            sleep(Duration::from_millis(1)).await;
            slept
        });
        assert_eq!(both.unwrap().await, 3);
    });
}

#[test]
fn the_context_is_there_in_polls_only() {
    let context = TokioContext::builder().build().unwrap();
    let id = context.handle().id();
    let here = thread::current().id();
    let mut polls = 0;
    let mut future = pin!(context.run(poll_fn(move |_| {
        assert_eq!(thread::current().id(), here, "polled by whoever polls");
        assert_eq!(Handle::current().id(), id);
        polls += 1;
        if polls < 3 { Poll::Pending } else { Poll::Ready(polls) }
    })));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut cx).is_pending());
    assert!(Handle::try_current().is_err());
    assert!(future.as_mut().poll(&mut cx).is_pending());
    // One within another one, and within a guard.
    let outer = TokioContext::builder().build().unwrap();
    let guard = outer.enter();
    assert_eq!(future.as_mut().poll(&mut cx), Poll::Ready(3));
    assert_eq!(Handle::current().id(), outer.handle().id());
    drop(guard);
    assert!(Handle::try_current().is_err());
}

/// Counts its drops, each of which needs Tokio.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let counter = self.0.clone();
        // Panics without a context, as connections do that say goodbye.
        tokio::spawn(async move { counter.fetch_add(1, Ordering::SeqCst) });
    }
}

fn wait_for(counter: &AtomicUsize, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while counter.load(Ordering::SeqCst) != count {
        assert!(Instant::now() < deadline, "{counter:?} of {count}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn the_context_is_there_in_drops() {
    let counter = Arc::new(AtomicUsize::new(0));
    let holding = || {
        let dropped = Dropped(counter.clone());
        compat(async move {
            let _dropped = dropped;
            pending::<()>().await
        })
        .unwrap()
    };
    // Never polled; polled; ended.
    drop(holding());
    wait_for(&counter, 1);
    let mut future = Box::pin(holding());
    assert!(block_on(future::poll_once(&mut future)).is_none());
    drop(future);
    wait_for(&counter, 2);
    let dropped = Dropped(counter.clone());
    let mut ended = pin!(compat(async move { drop(dropped) }).unwrap());
    block_on(&mut ended);
    wait_for(&counter, 3);
    // As a task that is cancelled, on the executor's thread.
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let task = runtime.spawn(holding());
    drop(task);
    wait_for(&counter, 4);
    runtime.spawn(holding()).detach();
    drop(runtime);
    wait_for(&counter, 5);
    // Under a panic.
    let dropped = Dropped(counter.clone());
    let task = spawn(
        compat(async move {
            let _dropped = dropped;
            sleep(Duration::from_millis(1)).await;
            panic!("on purpose");
        })
        .unwrap(),
    );
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| within(task)));
    assert_eq!(*panicked.unwrap_err().downcast::<&str>().unwrap(), "on purpose");
    wait_for(&counter, 6);
    assert_eq!(
        within(async { compat(work()).unwrap().await }),
        7,
        "the next one finds all in order"
    );
}

/// Panics in what Tokio runs are Tokio's to catch.
#[test]
fn panics_on_tokios_side() {
    within(async {
        let joined = compat(async { tokio::spawn(async { panic!("on purpose") }).await }).unwrap();
        assert!(joined.await.unwrap_err().is_panic());
        assert_eq!(compat(work()).unwrap().await, 7);
    });
}

thread_local! {
    static LAST: RefCell<Option<InContext<String>>> = const { RefCell::new(None) };
}

/// A future in a thread-local variable outlives Tokio's own variable, and is dropped without a context.
#[test]
fn at_the_end_of_a_thread() {
    let context = TokioContext::builder().build().unwrap();
    let ended = thread::spawn(move || {
        LAST.with(|last| *last.borrow_mut() = Some(context.run(String::from("last"))));
        drop(context.enter());
    });
    ended.join().unwrap();
}

#[test]
fn streams() {
    within(async {
        let ticks = stream::unfold(0, |count| async move {
            sleep(Duration::from_millis(1)).await;
            (count < 3).then_some((count, count + 1))
        });
        let mut ticks = Box::pin(compat(ticks).unwrap());
        assert_eq!(ticks.as_mut().collect::<Vec<_>>().await, [0, 1, 2]);
        assert_eq!(ticks.next().await, None, "also after its end");
    });
}

#[test]
#[should_panic(expected = "polled after its end")]
fn a_future_has_one_end() {
    let mut future = pin!(compat(async {}).unwrap());
    block_on(&mut future);
    block_on(&mut future);
}

#[test]
fn a_handle_of_the_programs_own() {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("own")
        .enable_all()
        .build()
        .unwrap();
    let context = TokioContext::from(tokio.handle().clone());
    let name = || thread::current().name().map(str::to_owned);
    let ran = within(context.run(async move { tokio::spawn(async move { name() }).await }));
    assert_eq!(ran.unwrap().as_deref(), Some("own"));
    // It is not ours to end.
    context.shutdown(Duration::from_secs(1));
    assert_eq!(tokio.block_on(async { tokio::spawn(async { 1 }).await }).unwrap(), 1);
    // Within a Tokio program that program's runtime is found.
    let found = tokio.block_on(async { compat(async { Handle::current().id() }).unwrap().await });
    assert_eq!(found, tokio.handle().id());
}

/// How many threads of this process have that name.
#[cfg(target_os = "linux")]
fn threads(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|other| other.trim() == name).count()
}

#[cfg(target_os = "linux")]
fn wait_until_gone(name: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while threads(name) > 0 {
        assert!(Instant::now() < deadline, "{} threads {name}", threads(name));
        thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_runtime_ends_with_its_last_user() {
    for workers in [1, 3] {
        let name = format!("last-user-{workers}");
        let context = TokioContext::builder().workers(workers).thread_name(&name).build().unwrap();
        let spawned = Arc::new(());
        let weak = Arc::downgrade(&spawned);
        // Never ends by itself.
        context.handle().spawn(async move {
            let _spawned = spawned;
            pending::<()>().await
        });
        let future = context.run(async {
            sleep(Duration::from_millis(2)).await;
            tokio::spawn(async { 5 }).await
        });
        // It has its name once it runs.
        within(context.run(async { tokio::spawn(async {}).await })).unwrap();
        drop(context);
        assert!(threads(&name) > 0, "the future still needs it");
        assert_eq!(within(future).unwrap(), 5);
        wait_until_gone(&name);
        assert!(weak.upgrade().is_none(), "what was spawned is gone");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_runtime_ends_when_it_is_told_to() {
    let context = TokioContext::builder().thread_name("told-to-end").build().unwrap();
    let other = context.clone();
    let waiting = spawn(context.run(async { tokio::spawn(pending::<()>()).await }));
    // Blocking work that takes longer is left behind.
    let (release, gate) = std::sync::mpsc::channel::<()>();
    context.handle().spawn_blocking(move || gate.recv());
    let started = Instant::now();
    context.shutdown(Duration::from_millis(50));
    assert!(started.elapsed() < Duration::from_secs(30));
    // Whoever waits for it hears that it was dropped.
    assert!(within(waiting).unwrap_err().is_cancelled());
    // What comes too late is dropped at once. A second shutdown has nothing to do.
    assert!(within(other.run(async { tokio::spawn(async {}).await })).unwrap_err().is_cancelled());
    other.shutdown(Duration::from_secs(1));
    drop(release);
    wait_until_gone("told-to-end");
}

/// By one of its own tasks, which cannot wait for itself.
#[test]
fn a_runtime_that_ends_itself() {
    for workers in [1, 2] {
        let context = TokioContext::builder().workers(workers).build().unwrap();
        let other = context.clone();
        let (sender, receiver) = std::sync::mpsc::channel();
        context.handle().spawn(async move {
            other.shutdown(Duration::from_secs(60));
            sender.send(()).unwrap();
        });
        receiver.recv_timeout(Duration::from_secs(30)).unwrap();
    }
}

#[test]
fn names_are_checked() {
    let error = TokioContext::builder().thread_name("a\0b").build().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}
