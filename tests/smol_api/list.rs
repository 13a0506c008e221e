// Everything that smol 2.0.2 exports of async-executor, async-io, async-task, blocking and futures-lite, with its signatures, traits and auto traits.
//
// Included where `smol` means smolkit, and where it means smol: what compiles here exists in both.

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::fmt::Debug;
use std::fs::File;
use std::future::Future;
use std::io::{Read, Seek, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{SocketAddr as UnixSocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use smol::io::{AsyncRead, AsyncSeek, AsyncWrite};
use smol::stream::Stream;
use smol::{Async, Executor, LocalExecutor, Task, Timer, Unblock};

fn send<T: Send + ?Sized>() {}
fn sync<T: Sync + ?Sized>() {}
fn unpin<T: Unpin + ?Sized>() {}
fn unwind_safe<T: UnwindSafe + ?Sized>() {}
fn ref_unwind_safe<T: RefUnwindSafe + ?Sized>() {}
fn debug<T: Debug + ?Sized>() {}
fn any<T: Any>() {}

fn is_send<T: Send>(value: T) -> T {
    value
}
fn is_sync<T: Sync>(value: T) -> T {
    value
}
fn is_unpin<T: Unpin>(value: T) -> T {
    value
}
fn is_debug<T: Debug>(value: T) -> T {
    value
}

/// Whether a type is `Send` or `Sync`, for those that must not be: a trait of the type itself is found before that of a reference.
mod negative {
    use std::marker::PhantomData;

    pub(crate) struct Of<T: ?Sized>(pub(crate) PhantomData<T>);

    pub(crate) trait IsNot {
        fn is_send(&self) -> bool {
            false
        }
        fn is_sync(&self) -> bool {
            false
        }
    }
    impl<T: ?Sized> IsNot for &Of<T> {}

    impl<T: ?Sized + Send> Of<T> {
        pub(crate) fn is_send(&self) -> bool {
            true
        }
    }
    impl<T: ?Sized + Sync> Of<T> {
        pub(crate) fn is_sync(&self) -> bool {
            true
        }
    }
}

macro_rules! is {
    ($type:ty: $question:ident) => {{
        #[allow(unused_imports)]
        use negative::IsNot;
        (&negative::Of::<$type>(std::marker::PhantomData)).$question()
    }};
}

// ---- executors ----

static EXECUTOR: Executor<'static> = Executor::new();
thread_local!(static LOCAL: LocalExecutor<'static> = const { LocalExecutor::new() });

#[test]
fn executors() {
    send::<Executor<'_>>();
    sync::<Executor<'_>>();
    unpin::<Executor<'_>>();
    unwind_safe::<Executor<'_>>();
    ref_unwind_safe::<Executor<'_>>();
    debug::<Executor<'_>>();
    unpin::<LocalExecutor<'_>>();
    unwind_safe::<LocalExecutor<'_>>();
    ref_unwind_safe::<LocalExecutor<'_>>();
    debug::<LocalExecutor<'_>>();
    assert!(!is!(LocalExecutor<'static>: is_send));
    assert!(!is!(LocalExecutor<'static>: is_sync));
    assert!(is!(Executor<'static>: is_send) && is!(Executor<'static>: is_sync));

    let _: fn() -> Executor<'static> = Default::default;
    let _: fn() -> LocalExecutor<'static> = Default::default;
    let _: fn(&Executor<'static>) -> bool = Executor::is_empty;
    let _: fn(&LocalExecutor<'static>) -> bool = LocalExecutor::is_empty;
    let _: fn(&Executor<'static>) -> bool = Executor::try_tick;
    let _: fn(&LocalExecutor<'static>) -> bool = LocalExecutor::try_tick;

    let one: Task<i32> = EXECUTOR.spawn(async { 1 });
    let mut more: Vec<Task<i32>> = Vec::new();
    EXECUTOR.spawn_many([async { 2 }], &mut more);
    let ours = is_send(EXECUTOR.run(one));
    assert_eq!(smol::block_on(ours), 1);
    drop(is_send(EXECUTOR.tick()));
    LOCAL.with(|local| {
        let one: Task<Rc<i32>> = local.spawn(async { Rc::new(1) });
        let mut more: Vec<Task<Rc<i32>>> = Vec::new();
        local.spawn_many([async { Rc::new(2) }], &mut more);
        assert_eq!(*smol::block_on(local.run(one)), 1);
        drop(local.tick());
    });

    // Tasks that borrow.
    let text = String::from("borrowed");
    let scoped = Executor::new();
    let task = scoped.spawn(async { text.len() });
    assert_eq!(smol::block_on(scoped.run(task)), 8);
    fn covariance_is_refused<'a>(executor: Executor<'a>) -> Executor<'a> {
        executor
    }
    covariance_is_refused(scoped);
}

// ---- tasks ----

#[test]
fn tasks() {
    send::<Task<i32>>();
    send::<Task<std::cell::Cell<i32>>>();
    sync::<Task<std::cell::Cell<i32>>>();
    unpin::<Task<i32>>();
    unwind_safe::<Task<&mut i32>>();
    ref_unwind_safe::<Task<std::cell::Cell<i32>>>();
    debug::<Task<i32>>();
    any::<Task<i32, String>>();
    assert!(!is!(Task<Rc<i32>>: is_send));

    let _: fn(Task<i32>) = Task::detach;
    let _: fn(&Task<i32>) -> bool = Task::is_finished;
    let _: fn(&Task<i32, String>) -> &String = Task::metadata;
    let task = smol::spawn(async { 7 });
    let fallible = is_send(is_unpin(is_debug(task.fallible())));
    let _ = fallible.is_finished();
    assert_eq!(smol::block_on(fallible), Some(7));
    let cancel = is_send(smol::spawn(std::future::pending::<i32>()).cancel());
    assert_eq!(smol::block_on(cancel), None);
    let cancel = is_send(smol::spawn(std::future::pending::<i32>()).fallible().cancel());
    assert_eq!(smol::block_on(cancel), None);
    smol::spawn(async {}).fallible().detach();
}

#[test]
fn free_functions() {
    let _: fn(std::future::Ready<i32>) -> i32 = smol::block_on;
    let borrowed = String::new();
    assert_eq!(smol::block_on(async { &borrowed }), "");
    let task: Task<i32> = smol::spawn(async { 1 });
    assert_eq!(smol::block_on(task), 1);
    let _: fn(fn() -> i32) -> Task<i32> = smol::unblock::<i32, fn() -> i32>;
    assert_eq!(smol::block_on(smol::unblock(|| 2)), 2);
}

// ---- Async ----

fn async_of_any<T>() {
    unpin::<Async<T>>();
    let _: for<'a> fn(&'a Async<T>) -> &'a T = Async::<T>::get_ref;
    let _: for<'a> unsafe fn(&'a mut Async<T>) -> &'a mut T = Async::<T>::get_mut;
    let _: fn(Async<T>) -> smol::io::Result<T> = Async::<T>::into_inner;
    let _: for<'a> fn(&'a Async<T>) -> &'a T = <Async<T> as AsRef<T>>::as_ref;
    let _: for<'a, 'b, 'c> fn(&'a Async<T>, &'b mut Context<'c>) -> Poll<smol::io::Result<()>> =
        Async::<T>::poll_readable;
    let _: for<'a, 'b, 'c> fn(&'a Async<T>, &'b mut Context<'c>) -> Poll<smol::io::Result<()>> =
        Async::<T>::poll_writable;
}

fn async_of_descriptors<T: AsFd + AsRawFd>() {
    let _: fn(T) -> smol::io::Result<Async<T>> = Async::<T>::new;
    let _: fn(T) -> smol::io::Result<Async<T>> = Async::<T>::new_nonblocking;
    fn descriptor<T: AsFd + AsRawFd>() {}
    descriptor::<Async<T>>();
}

fn async_from_descriptors<T: AsFd + From<OwnedFd> + Into<OwnedFd>>()
where
    Async<T>: TryFrom<OwnedFd, Error = std::io::Error>,
    OwnedFd: TryFrom<Async<T>, Error = std::io::Error>,
{
}

fn async_try_from<T>()
where
    Async<T>: TryFrom<T, Error = std::io::Error>,
{
}

fn unit_future<F: Future<Output = smol::io::Result<()>> + Debug + Unpin>(future: F) -> F {
    future
}

fn borrowed_waits<T>(io: &Async<T>) {
    drop(unit_future(io.readable()));
    drop(unit_future(io.writable()));
}

fn owned_waits<T>(io: Arc<Async<T>>) {
    drop(unit_future(io.clone().readable_owned()));
    drop(unit_future(io.writable_owned()));
}

fn operations<'a, T, R: 'a>(
    io: &'a Async<T>,
    op: impl FnMut(&T) -> smol::io::Result<R> + Clone + 'a,
) -> [Pin<Box<dyn Future<Output = smol::io::Result<R>> + 'a>>; 2] {
    [Box::pin(io.read_with(op.clone())), Box::pin(io.write_with(op))]
}

unsafe fn operations_mut<'a, T, R: 'a>(
    io: &'a mut Async<T>,
    mut op: impl FnMut(&mut T) -> smol::io::Result<R> + 'a,
) {
    fn returns<F: Future<Output = smol::io::Result<R>>, R>(_: F) {}
    // SAFETY: nothing is polled.
    returns(unsafe { io.read_with_mut(&mut op) });
    // SAFETY: nothing is polled.
    returns(unsafe { io.write_with_mut(&mut op) });
}

fn reads<T: AsyncRead>() {}
fn writes<T: AsyncWrite>() {}

#[test]
fn async_of_everything() {
    async_of_any::<Rc<u8>>();
    async_of_descriptors::<TcpStream>();
    async_of_descriptors::<Arc<TcpStream>>();
    async_of_descriptors::<OwnedFd>();
    async_from_descriptors::<TcpStream>();
    async_from_descriptors::<OwnedFd>();
    async_try_from::<TcpListener>();
    async_try_from::<TcpStream>();
    async_try_from::<UdpSocket>();
    async_try_from::<UnixListener>();
    async_try_from::<UnixStream>();
    async_try_from::<UnixDatagram>();
    debug::<Async<TcpStream>>();
    send::<Async<TcpStream>>();
    sync::<Async<TcpStream>>();
    unwind_safe::<Async<TcpStream>>();
    ref_unwind_safe::<Async<TcpStream>>();
    send::<Async<std::cell::Cell<u8>>>();
    assert!(!is!(Async<std::cell::Cell<u8>>: is_sync));
    assert!(!is!(Async<Rc<u8>>: is_send));

    // A `T` that is read and written itself, if it is `IoSafe`.
    reads::<Async<File>>();
    writes::<Async<File>>();
    reads::<Async<TcpStream>>();
    writes::<Async<TcpStream>>();
    reads::<Async<UnixStream>>();
    writes::<Async<UnixStream>>();
    reads::<Async<std::io::Stdin>>();
    reads::<Async<std::io::StdinLock<'static>>>();
    writes::<Async<std::io::Stdout>>();
    writes::<Async<std::io::StdoutLock<'static>>>();
    writes::<Async<std::io::Stderr>>();
    writes::<Async<std::io::StderrLock<'static>>>();
    writes::<Async<std::process::ChildStdin>>();
    reads::<Async<std::process::ChildStdout>>();
    reads::<Async<std::process::ChildStderr>>();
    reads::<Async<&TcpStream>>();
    writes::<Async<&TcpStream>>();
    reads::<Async<&mut TcpStream>>();
    reads::<Async<Box<TcpStream>>>();
    writes::<Async<Box<TcpStream>>>();
    reads::<Async<std::io::BufReader<TcpStream>>>();
    writes::<Async<std::io::BufWriter<TcpStream>>>();
    writes::<Async<std::io::LineWriter<TcpStream>>>();
    // A `T` that is read and written through a shared reference.
    reads::<&Async<TcpStream>>();
    writes::<&Async<TcpStream>>();
    reads::<&Async<UnixStream>>();
    writes::<&Async<File>>();
    writes::<&Async<std::process::ChildStdin>>();
    // Of `Cow` it is known that it is safe, though nobody reads one.
    fn cow(io: &Async<Cow<'_, ()>>) {
        borrowed_waits(io);
    }
    let _: fn(&Async<Cow<'_, ()>>) = cow;

    let (one, other) = Async::<UnixStream>::pair().unwrap();
    borrowed_waits(&one);
    drop(is_send(is_sync(one.readable())));
    drop(is_send(is_sync(one.writable())));
    let other = Arc::new(other);
    owned_waits(other.clone());
    drop(is_send(is_sync(other.clone().readable_owned())));
    drop(is_send(is_sync(other.writable_owned())));
    drop(operations(&one, |_| Ok(Rc::new(1))));
    // They may go to another thread even if what they return may not.
    drop(is_send(one.read_with(|_| Ok(Rc::new(1)))));
    drop(is_send(one.write_with(|_| Ok(Rc::new(1)))));
    let mut one = one;
    // SAFETY: nothing is exchanged.
    unsafe { operations_mut(&mut one, |_| Ok(())) };
    let fd = OwnedFd::try_from(one).unwrap();
    let again: Async<UnixStream> = Async::try_from(fd).unwrap();
    let _: UnixStream = again.into_inner().unwrap();
}

/// Functions with an `impl Trait` in their result, wrapped in ones with a name.
fn boxed<'a, T>(future: impl Future<Output = T> + Send + 'a) -> Pin<Box<dyn Future<Output = T> + Send + 'a>> {
    Box::pin(future)
}

type Items<'a, T> = Pin<Box<dyn Stream<Item = smol::io::Result<Async<T>>> + Send + 'a>>;

#[test]
fn async_sockets() {
    type R<T> = smol::io::Result<T>;

    let _: fn(SocketAddr) -> R<Async<TcpListener>> = Async::<TcpListener>::bind;
    let _: fn(([u8; 4], u16)) -> R<Async<TcpListener>> = Async::<TcpListener>::bind;
    let _ = |io: &Async<TcpListener>| -> R<(Async<TcpStream>, SocketAddr)> { smol::block_on(boxed(io.accept())) };
    fn incoming(io: &Async<TcpListener>) -> Items<'_, TcpStream> {
        Box::pin(is_sync(io.incoming()))
    }
    let _: fn(&Async<TcpListener>) -> Items<'_, TcpStream> = incoming;

    let _ = |addr: SocketAddr| -> R<Async<TcpStream>> { smol::block_on(boxed(Async::<TcpStream>::connect(addr))) };
    let _ = |addr: ([u8; 16], u16)| -> R<Async<TcpStream>> { smol::block_on(boxed(Async::<TcpStream>::connect(addr))) };
    let _ = |io: &Async<TcpStream>, buf: &mut [u8]| -> R<usize> { smol::block_on(boxed(io.peek(buf))) };

    let _: fn(SocketAddr) -> R<Async<UdpSocket>> = Async::<UdpSocket>::bind;
    let _ = |io: &Async<UdpSocket>, buf: &mut [u8]| -> R<(usize, SocketAddr)> { smol::block_on(boxed(io.recv_from(buf))) };
    let _ = |io: &Async<UdpSocket>, buf: &mut [u8]| -> R<(usize, SocketAddr)> { smol::block_on(boxed(io.peek_from(buf))) };
    let _ = |io: &Async<UdpSocket>, buf: &[u8], to: SocketAddr| -> R<usize> { smol::block_on(boxed(io.send_to(buf, to))) };
    let _ = |io: &Async<UdpSocket>, buf: &mut [u8]| -> R<usize> { smol::block_on(boxed(io.recv(buf))) };
    let _ = |io: &Async<UdpSocket>, buf: &mut [u8]| -> R<usize> { smol::block_on(boxed(io.peek(buf))) };
    let _ = |io: &Async<UdpSocket>, buf: &[u8]| -> R<usize> { smol::block_on(boxed(io.send(buf))) };

    let _: fn(&'static Path) -> R<Async<UnixListener>> = Async::<UnixListener>::bind;
    let _: fn(String) -> R<Async<UnixListener>> = Async::<UnixListener>::bind;
    let _ = |io: &Async<UnixListener>| -> R<(Async<UnixStream>, UnixSocketAddr)> { smol::block_on(boxed(io.accept())) };
    fn unix_incoming(io: &Async<UnixListener>) -> Items<'_, UnixStream> {
        Box::pin(is_sync(io.incoming()))
    }
    let _: fn(&Async<UnixListener>) -> Items<'_, UnixStream> = unix_incoming;

    let _ = |path: PathBuf| -> R<Async<UnixStream>> { smol::block_on(boxed(Async::<UnixStream>::connect(path))) };
    let _: fn() -> R<(Async<UnixStream>, Async<UnixStream>)> = Async::<UnixStream>::pair;

    let _: fn(&'static str) -> R<Async<UnixDatagram>> = Async::<UnixDatagram>::bind;
    let _: fn() -> R<Async<UnixDatagram>> = Async::<UnixDatagram>::unbound;
    let _: fn() -> R<(Async<UnixDatagram>, Async<UnixDatagram>)> = Async::<UnixDatagram>::pair;
    let _ = |io: &Async<UnixDatagram>, buf: &mut [u8]| -> R<(usize, UnixSocketAddr)> { smol::block_on(boxed(io.recv_from(buf))) };
    let _ = |io: &Async<UnixDatagram>, buf: &[u8], to: PathBuf| -> R<usize> { smol::block_on(boxed(io.send_to(buf, to))) };
    let _ = |io: &Async<UnixDatagram>, buf: &mut [u8]| -> R<usize> { smol::block_on(boxed(io.recv(buf))) };
    let _ = |io: &Async<UnixDatagram>, buf: &[u8]| -> R<usize> { smol::block_on(boxed(io.send(buf))) };
}

// ---- Timer ----

#[test]
fn timers() {
    send::<Timer>();
    sync::<Timer>();
    unpin::<Timer>();
    unwind_safe::<Timer>();
    ref_unwind_safe::<Timer>();
    debug::<Timer>();
    fn future_and_stream<T: Future<Output = Instant> + Stream<Item = Instant>>() {}
    future_and_stream::<Timer>();

    let _: fn() -> Timer = Timer::never;
    let _: fn(Duration) -> Timer = Timer::after;
    let _: fn(Instant) -> Timer = Timer::at;
    let _: fn(Duration) -> Timer = Timer::interval;
    let _: fn(Instant, Duration) -> Timer = Timer::interval_at;
    let _: fn(&Timer) -> bool = Timer::will_fire;
    let _: fn(&mut Timer, Duration) = Timer::set_after;
    let _: fn(&mut Timer, Instant) = Timer::set_at;
    let _: fn(&mut Timer, Duration) = Timer::set_interval;
    let _: fn(&mut Timer, Instant, Duration) = Timer::set_interval_at;
    let _: fn(&mut Timer) = Timer::clear;
}

// ---- Unblock ----

fn unblock_of_any<T>() {
    unpin::<Unblock<T>>();
    let _: fn(T) -> Unblock<T> = Unblock::<T>::new;
    let _: fn(usize, T) -> Unblock<T> = Unblock::<T>::with_capacity;
    let _ = |mut unblock: Unblock<T>| {
        let _: &mut T = smol::block_on(unblock.get_mut());
        let _: T = smol::block_on(unblock.into_inner());
    };
}

fn unblock_traits<T: Read + Write + Seek + Send + 'static, I: Iterator + Send + 'static>()
where
    I::Item: Send,
{
    fn all<T: AsyncRead + AsyncWrite + AsyncSeek>() {}
    fn stream<S: Stream<Item = T>, T>() {}
    all::<Unblock<T>>();
    stream::<Unblock<I>, I::Item>();
}

#[test]
fn unblocking() {
    unblock_of_any::<Rc<u8>>();
    unblock_traits::<File, std::fs::ReadDir>();
    send::<Unblock<File>>();
    sync::<Unblock<File>>();
    debug::<Unblock<File>>();
    assert!(!is!(Unblock<Rc<u8>>: is_send));
    assert!(!is!(Unblock<std::cell::Cell<u8>>: is_sync));
    let mut value = Unblock::new(1);
    let got: i32 = smol::block_on(is_send(value.with_mut(|value| *value + 1)));
    assert_eq!(got, 2);
    drop(is_send(value.get_mut()));
    drop(is_send(value.into_inner()));
}

// ---- futures-lite ----

#[allow(unused_imports)]
mod names {
    use super::smol;
    use smol::future::{
        Boxed, BoxedLocal, CatchUnwind, Fuse, Future, FutureExt, Or, Pending, PollFn, PollOnce, Race,
        Ready, TryZip, YieldNow, Zip, block_on, fuse, or, pending, poll_fn, poll_once, race,
        race_with_seed, ready, try_zip, yield_now, zip,
    };

    mod of_io {
        use super::super::smol;
        use smol::io::{
            AssertAsync, AsyncAsSync, AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncSeek,
            AsyncSeekExt, AsyncWrite, AsyncWriteExt, BlockOn, BoxedReader, BoxedWriter, BufReader,
            BufWriter, Bytes, Chain, CloseFuture, Cursor, Empty, Error, ErrorKind, FillBuf, FlushFuture,
            Lines, ReadExactFuture, ReadFuture, ReadHalf, ReadLineFuture, ReadToEndFuture,
            ReadToStringFuture, ReadUntilFuture, ReadVectoredFuture, Repeat, Result, SeekFrom,
            SeekFuture, Sink, Split, Take, WriteAllFuture, WriteFuture, WriteHalf,
            WriteVectoredFuture, copy, empty, repeat, sink, split,
        };
    }

    mod of_stream {
        use super::super::smol;
        use smol::stream::{
            AllFuture, AnyFuture, BlockOn, Boxed, BoxedLocal, Chain, Cloned, CollectFuture, Copied,
            CountFuture, Cycle, Drain, Empty, Enumerate, Filter, FilterMap, FindFuture, FindMapFuture,
            FlatMap, Flatten, FoldFuture, ForEachFuture, Fuse, Inspect, Iter, LastFuture, Map, MapWhile,
            NextFuture, NthFuture, Once, OnceFuture, Or, PartitionFuture, Pending, PollFn,
            PositionFuture, Race, Repeat, RepeatWith, Scan, Skip, SkipWhile, StepBy, StopAfterFuture,
            Stream, StreamExt, Take, TakeWhile, Then, TryCollectFuture, TryFoldFuture,
            TryForEachFuture, TryNextFuture, TryUnfold, Unfold, UnzipFuture, Zip, block_on, empty, iter,
            once, once_future, or, pending, poll_fn, race, race_with_seed, repeat, repeat_with,
            stop_after_future, try_unfold, unfold,
        };
    }
}

#[test]
fn macros_and_prelude() {
    use smol::prelude::*;

    fn names<F: Future, S: Stream, R: AsyncRead + AsyncBufRead, W: AsyncWrite, K: AsyncSeek>() {}
    type Bytes = smol::io::Cursor<Vec<u8>>;
    names::<std::future::Ready<()>, smol::stream::Empty<()>, Bytes, Bytes, Bytes>();

    let future = async { 1 };
    smol::pin!(future);
    let got = smol::block_on(smol::future::poll_fn(|cx| {
        let number = smol::ready!(future.as_mut().poll(cx));
        Poll::Ready(number)
    }));
    assert_eq!(got, 1);
    // The traits' methods come with the prelude.
    let text = smol::block_on(async {
        let mut text = String::new();
        smol::io::Cursor::new(b"text").read_to_string(&mut text).await?;
        smol::io::sink().write_all(b"x").await?;
        Ok::<_, Box<dyn Error>>(text)
    });
    assert_eq!(text.unwrap(), "text");
    assert_eq!(smol::block_on(smol::stream::iter(0..3).count().or(smol::future::pending())), 3);
    let boxed: smol::future::Boxed<i32> = async { 1 }.boxed();
    assert_eq!(smol::block_on(boxed), 1);
}
