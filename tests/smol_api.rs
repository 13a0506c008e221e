//! Goal: `use smolkit as smol;` finds everything that smol has, with the same signatures, traits and auto traits.
//! Method: one list of items, compiled against smolkit here and against smol itself in `smol_itself.rs`; then what smolkit has beside it.

// Signatures are written out here: that is what the list is for.
#![allow(clippy::type_complexity)]

use smolkit as smol;

include!("smol_api/list.rs");

static SHARED: smolkit::StaticExecutor = smolkit::StaticExecutor::new();
thread_local!(static OWN: smolkit::StaticLocalExecutor = const { smolkit::StaticLocalExecutor::new() });

/// Executors that are never dropped, as in async-executor with its feature `static`.
#[test]
fn static_executors() {
    use smolkit::{StaticExecutor, StaticLocalExecutor};

    send::<StaticExecutor>();
    sync::<StaticExecutor>();
    unwind_safe::<StaticExecutor>();
    ref_unwind_safe::<StaticExecutor>();
    debug::<StaticExecutor>();
    unwind_safe::<StaticLocalExecutor>();
    ref_unwind_safe::<StaticLocalExecutor>();
    debug::<StaticLocalExecutor>();
    assert!(!is!(StaticLocalExecutor: is_sync));
    let _: fn() -> StaticExecutor = Default::default;
    let _: fn() -> StaticLocalExecutor = Default::default;
    let _: fn(&StaticExecutor) -> bool = StaticExecutor::try_tick;
    let _: fn(&StaticLocalExecutor) -> bool = StaticLocalExecutor::try_tick;
    let _: fn(Executor<'static>) -> &'static StaticExecutor = Executor::leak;
    let _: fn(LocalExecutor<'static>) -> &'static StaticLocalExecutor = LocalExecutor::leak;

    let one: Task<i32> = SHARED.spawn(async { 1 });
    assert_eq!(smol::block_on(is_send(SHARED.run(one))), 1);
    drop(is_send(SHARED.tick()));
    let text = String::from("borrowed");
    // SAFETY: the task has ended when `text` goes.
    let task = unsafe { SHARED.spawn_scoped(async { text.len() }) };
    assert_eq!(smol::block_on(SHARED.run(task)), 8);
    OWN.with(|own| assert!(!own.try_tick()));
    let local: &'static StaticLocalExecutor = LocalExecutor::new().leak();
    let one: Task<Rc<i32>> = local.spawn(async { Rc::new(1) });
    assert_eq!(*smol::block_on(local.run(one)), 1);
    // SAFETY: the task has ended when `text` goes.
    let task = unsafe { local.spawn_scoped(async { Rc::new(text.len()) }) };
    assert_eq!(*smol::block_on(local.run(task)), 8);
}

/// Whatever the types here give out or take can be named.
#[test]
fn runtimes() {
    use smolkit::blocking::{self, Limits};
    use smolkit::{Builder, EnterGuard, Handle, Metrics, Runtime, TryCurrentError};

    let _: fn() -> Builder = Runtime::builder;
    let _: fn() -> Result<Handle, TryCurrentError> = Handle::try_current;
    let _: for<'r> fn(&'r Runtime) -> &'r Handle = Runtime::handle;
    let _: for<'r> fn(&'r Runtime) -> EnterGuard<'r> = Runtime::enter;
    let _: for<'h> fn(&'h Handle) -> EnterGuard<'h> = Handle::enter;
    let _: fn(&Runtime) -> Metrics = Runtime::metrics;
    let _: fn(Limits) = blocking::set_limits;
    let _: fn() -> blocking::Metrics = blocking::metrics;
    let _: fn(Duration) -> usize = blocking::shutdown;
    send::<Handle>();
    sync::<Handle>();
    send::<Runtime>();
    sync::<Runtime>();
    assert!(!is!(EnterGuard<'static>: is_send));
    assert!(!is!(EnterGuard<'static>: is_sync));
}

/// What programs import from async-io, async-executor and async-task beside smol.
#[test]
fn beside_smol() {
    use smolkit::task::{self, Builder, Runnable, Schedule, ScheduleInfo, WithInfo};
    use smolkit::{FallibleTask, IoSafe, Readable, ReadableOwned, Writable, WritableOwned};

    fn waits<'a, T>(io: &'a Async<T>) -> (Readable<'a, T>, Writable<'a, T>) {
        (io.readable(), io.writable())
    }
    fn owned_waits<T>(io: Arc<Async<T>>) -> (ReadableOwned<T>, WritableOwned<T>) {
        (io.clone().readable_owned(), io.writable_owned())
    }
    let (one, other) = Async::<UnixDatagram>::pair().unwrap();
    drop(waits(&one));
    drop(owned_waits(Arc::new(other)));

    fn safe<T: IoSafe + ?Sized>() {}
    safe::<Cow<'_, &TcpStream>>();
    safe::<Box<dyn IoSafe>>();
    safe::<Arc<TcpStream>>();
    safe::<Rc<File>>();
    reads::<Async<Arc<File>>>();

    let _: fn(Task<u8>) -> FallibleTask<u8> = Task::fallible;
    let schedule = WithInfo(|runnable: Runnable<u8>, info: ScheduleInfo| {
        let _: bool = info.woken_while_running;
        runnable.run();
    });
    fn schedules<M, S: Schedule<M>>(schedule: S) -> S {
        schedule
    }
    let schedule = schedules::<u8, _>(schedule);
    let builder = Builder::new().propagate_panic(true).metadata(7u8);
    let (runnable, task) = builder.spawn(|meta| std::future::ready(*meta), schedule);
    runnable.schedule();
    assert_eq!((*task.metadata(), smol::block_on(task)), (7, 7));
    let (runnable, task) = task::spawn_local(async { Rc::new(1) }, |_| ());
    runnable.run();
    assert_eq!(*smol::block_on(task), 1);
    drop(task::spawn(async {}, |_| ()));
    // SAFETY: the future borrows nothing, and both parts stay on this thread.
    drop(unsafe { task::spawn_unchecked(async {}, |_| ()) });
}
