//! Goal: `use smolkit as smol;` finds everything that smol has, with the same signatures, traits and auto traits.
//! Method: one list of items, compiled against smolkit here and against smol itself in `smol_itself.rs`; then what smolkit has beside it.

// Signatures are written out here: that is what the list is for.
#![allow(clippy::type_complexity)]

use smolkit as smol;

include!("smol_api/list.rs");

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
