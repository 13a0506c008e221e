//! `Unblock<T>`: blocking readers, writers and iterators, made async by the pool.

mod input;
mod output;

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_io::{AsyncRead, AsyncSeek, AsyncWrite};

use self::input::{Bytes, Input, Item};
use self::output::Output;
use crate::sync::{Mutex, lock};
use crate::{Task, unblock};

/// So many bytes are read ahead or wait to be written, unless `with_capacity` says otherwise.
const BYTES_DEFAULT: usize = 1024 * 1024;
/// So many items are taken ahead.
const ITEMS_DEFAULT: usize = 1_024;

/// An async adapter for a value whose I/O blocks: a file, the standard streams, an iterator over a directory.
///
/// Operations run on the pool of [`unblock`], one at a time. [`AsyncRead`], [`AsyncWrite`], [`AsyncSeek`] and [`Stream`] are there
/// where `T` is a reader, a writer, seekable or an iterator.
///
/// Reading and iterating go on in the background, until so much has been taken ahead as the capacity allows: 1 MiB, or 1,024 items. Writing accepts
/// bytes up to the capacity at once, and writes them in the background.
///
/// What can be polled (sockets, pipes, terminals) is better served by [`Async`](crate::Async), without a thread.
///
/// # Limits
///
/// A thread of the pool is taken while an operation runs: a read that waits for a terminal holds it until the terminal has something to say, even
/// if the `Unblock` is dropped meanwhile, and what it reads then is lost.
///
/// # Errors
///
/// An error of a background write comes out of the next `write`, `flush`, `close` or `seek`, once; what had been accepted behind it is dropped. After a
/// `flush` that returned `Ok`, all has been written. An error of a background read comes out when the bytes before it have been read.
/// After `close`, reading and writing fail with `BrokenPipe`.
///
/// # Cancel safety
///
/// - Reads: nothing is lost. What was read ahead is kept for the next read, also if writes come in between. For a value with one position for both, such as a
///   file, go back to the position that you see with `seek(SeekFrom::Current(0))` before you write: seeking knows what was read ahead.
/// - Writes: bytes that were accepted are written, even if the `Unblock` is dropped; that is the one case where an error is lost.
/// - Seeks: a dropped one may or may not have happened.
/// - [`with_mut`](Unblock::with_mut): dropped before it has the value, the function is dropped as well. From then on it runs, and only its result is lost, unless
///   the `Unblock` is dropped too before a thread has begun with it.
///
/// # Panics
///
/// A panic of `T`'s methods goes to the call that finds it, and to all later ones: the value is gone then.
///
/// # Examples
///
/// ```
/// use std::fs::{self, File};
/// use std::io::SeekFrom;
/// use futures_lite::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, StreamExt};
/// use smolkit_runtime::{Unblock, block_on, unblock};
///
/// # let path = std::env::temp_dir().join(format!("smolkit-unblock-{}", std::process::id()));
/// # let open_path = path.clone();
/// block_on(async {
///     let file = unblock(move || {
///         File::options().read(true).write(true).create(true).truncate(true).open(open_path)
///     });
///     let mut file = Unblock::new(file.await?);
///     file.write_all(b"one two").await?;
///     file.seek(SeekFrom::Start(4)).await?;
///     let mut text = String::new();
///     file.read_to_string(&mut text).await?;
///     assert_eq!(text, "two");
///
///     let mut entries = Unblock::new(fs::read_dir(".")?);
///     let names: Vec<_> = (&mut entries).map(|entry| entry.map(|e| e.file_name())).collect().await;
///     assert!(names.into_iter().any(|name| name.is_ok_and(|name| name == "Cargo.toml")));
///     std::io::Result::Ok(())
/// })?;
/// # fs::remove_file(path)?;
/// # std::io::Result::Ok(())
/// ```
pub struct Unblock<T> {
    state: State<T>,
    capacity: Option<usize>,
    input: Arc<Input<Bytes>>,
    output: Arc<Output>,
    /// What was taken from an iterator.
    items: Option<Items>,
    /// Set while there may be something to flush: starts the job that does so.
    flush: Option<Start<T>>,
}

type Start<T> = fn(Box<T>, Arc<Output>) -> Task<Box<T>>;

/// An `Arc<Input<Item<T::Item>>>`, and how to stop the job that fills it.
struct Items {
    list: Box<dyn Any + Send + Sync>,
    stop: fn(&(dyn Any + Send + Sync)),
}

enum State<T> {
    /// `None`: closed.
    Idle(Option<Box<T>>),
    Busy(Work, Task<Box<T>>),
    Seeking(SeekFrom, Task<(io::Result<u64>, Box<T>)>),
    Closing(Task<()>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Read,
    Write,
    Iterate,
    /// Something of which nobody but its caller needs to know.
    Call,
}

impl<T> Unblock<T> {
    /// An adapter for `io`, with the default capacity.
    pub fn new(io: T) -> Unblock<T> {
        Unblock::build(None, io)
    }

    /// An adapter that takes up to `cap` bytes or items ahead and lets as many bytes wait to be written; at least one.
    pub fn with_capacity(cap: usize, io: T) -> Unblock<T> {
        Unblock::build(Some(cap.max(1)), io)
    }

    fn build(capacity: Option<usize>, io: T) -> Unblock<T> {
        Unblock {
            state: State::Idle(Some(Box::new(io))),
            capacity,
            input: Arc::default(),
            output: Arc::default(),
            items: None,
            flush: None,
        }
    }

    /// The inner value, as soon as no operation runs and all that was accepted has been written and flushed.
    ///
    /// What was read ahead is forgotten: the value's position is behind it. An error of a background write still comes out of the next `flush`.
    ///
    /// # Panics
    ///
    /// If it has been closed.
    pub async fn get_mut(&mut self) -> &mut T {
        poll_fn(|cx| self.poll_idle(cx)).await;
        self.forget_input();
        match &mut self.state {
            State::Idle(Some(io)) => io,
            _ => panic!("the value of a closed `Unblock` was asked for"),
        }
    }

    /// Runs `op` on the inner value, on the pool, when what was accepted has been written. What was read ahead is forgotten, as by [`get_mut`](Unblock::get_mut).
    ///
    /// # Panics
    ///
    /// If it has been closed, or if `op` panics.
    ///
    /// # Examples
    ///
    /// ```
    /// use smolkit_runtime::{Unblock, block_on};
    ///
    /// let mut file = Unblock::new(std::fs::File::open("Cargo.toml")?);
    /// let meta = block_on(file.with_mut(|file| file.metadata()))?;
    /// assert!(meta.is_file());
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn with_mut<R, F>(&mut self, op: F) -> R
    where
        F: FnOnce(&mut T) -> R + Send + 'static,
        R: Send + 'static,
        T: Send + 'static,
    {
        poll_fn(|cx| self.poll_idle(cx)).await;
        self.forget_input();
        let mut io = self.take_idle().expect("the value of a closed `Unblock` was asked for");
        let result = Arc::new(Mutex::new(None));
        let place = result.clone();
        let job = unblock(move || {
            let output = op(&mut io);
            *lock(&place) = Some(output);
            io
        });
        self.state = State::Busy(Work::Call, job);
        poll_fn(|cx| self.poll_idle(cx)).await;
        let output = lock(&result).take();
        output.expect("a job that has come back has left its result")
    }

    /// Gives the inner value back, as soon as no operation runs and all that was accepted has been written and flushed.
    ///
    /// What was read ahead is forgotten, and so is an error of a background write: `flush` first to see it.
    ///
    /// # Panics
    ///
    /// If it has been closed.
    pub async fn into_inner(self) -> T {
        let mut this = self;
        poll_fn(|cx| this.poll_idle(cx)).await;
        *this.take_idle().expect("the value of a closed `Unblock` was asked for")
    }

    fn bytes_max(&self) -> usize {
        self.capacity.unwrap_or(BYTES_DEFAULT)
    }

    fn take_idle(&mut self) -> Option<Box<T>> {
        match &mut self.state {
            State::Idle(io) => io.take(),
            State::Busy(..) | State::Seeking(..) | State::Closing(_) => None,
        }
    }

    fn is_busy_with(&self, work: Work) -> bool {
        matches!(&self.state, State::Busy(present, _) if *present == work)
    }

    fn forget_input(&mut self) {
        self.input.clear();
        self.items = None;
    }

    /// Waits until no job runs and nothing waits to be written or flushed. Errors stay where they are.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.stop();
            ready!(self.poll_job(cx));
            let Some(start) = self.flush.take() else { return Poll::Ready(()) };
            if self.output.is_flushed() {
                return Poll::Ready(());
            }
            let Some(io) = self.take_idle() else { return Poll::Ready(()) };
            self.output.begin_flush();
            self.state = State::Busy(Work::Write, start(io, self.output.clone()));
        }
    }

    /// Tells the present job to come to its end.
    fn stop(&self) {
        let State::Busy(work, _) = &self.state else { return };
        match work {
            Work::Read => self.input.stop(),
            Work::Write => self.output.want_flush(),
            Work::Iterate => {
                if let Some(items) = &self.items {
                    (items.stop)(&*items.list);
                }
            }
            Work::Call => {}
        }
    }

    /// Waits until no job runs.
    fn poll_job(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let io = match &mut self.state {
            State::Idle(_) => return Poll::Ready(()),
            State::Busy(_, task) => Some(ready!(Pin::new(task).poll(cx))),
            State::Seeking(_, task) => {
                let (result, io) = ready!(Pin::new(task).poll(cx));
                if result.is_ok() {
                    self.input.clear();
                }
                Some(io)
            }
            State::Closing(task) => {
                ready!(Pin::new(task).poll(cx));
                None
            }
        };
        self.state = State::Idle(io);
        Poll::Ready(())
    }

    /// Fetches the value if a job of this kind has come back.
    fn collect_job(&mut self, work: Work, cx: &mut Context<'_>) {
        if matches!(&self.state, State::Busy(present, task) if *present == work && task.is_finished())
        {
            let _ = self.poll_job(cx);
        }
    }
}

fn closed(attempt: &str) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, format!("cannot {attempt}: it has been closed"))
}

impl<T> Drop for Unblock<T> {
    fn drop(&mut self) {
        self.stop();
        if self.is_busy_with(Work::Write) {
            // What has been accepted is written, seen or not.
            if let State::Busy(_, task) = std::mem::replace(&mut self.state, State::Idle(None)) {
                task.detach();
            }
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Unblock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Unblock");
        match &self.state {
            State::Idle(Some(io)) => out.field("io", io),
            State::Idle(None) => out.field("io", &format_args!("<closed>")),
            State::Busy(..) | State::Seeking(..) | State::Closing(_) => {
                out.field("io", &format_args!("<blocked>"))
            }
        };
        out.finish()
    }
}

impl<T: Read + Send + 'static> Unblock<T> {
    /// Lets a job read ahead, if none runs and there is room.
    fn read_ahead(&mut self) {
        let capacity = self.bytes_max();
        if matches!(self.state, State::Idle(Some(_))) && self.input.begin(capacity) {
            let Some(mut io) = self.take_idle() else { return };
            let input = self.input.clone();
            let job = unblock(move || {
                input.fill(&mut io, capacity);
                io
            });
            self.state = State::Busy(Work::Read, job);
        }
    }
}

impl<T: Read + Send + 'static> AsyncRead for Unblock<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            match this.input.poll_read(cx, buf) {
                Poll::Ready(Ok(count)) => {
                    this.collect_job(Work::Read, cx);
                    this.read_ahead();
                    return Poll::Ready(Ok(count));
                }
                Poll::Ready(Err(end)) => return Poll::Ready(end.map(|()| 0)),
                Poll::Pending => {}
            }
            if this.is_busy_with(Work::Read) {
                // If it has come back it may have brought something after we looked.
                ready!(this.poll_job(cx));
                continue;
            }
            ready!(this.poll_idle(cx));
            if matches!(this.state, State::Idle(None)) {
                return Poll::Ready(Err(closed("read")));
            }
            this.read_ahead();
        }
    }
}

impl<T: Iterator + Send + 'static> Unblock<T>
where
    T::Item: Send + 'static,
{
    /// The list of items, made on first use.
    fn list(&mut self) -> Arc<Input<Item<T::Item>>> {
        type List<I> = Arc<Input<Item<I>>>;
        let items = self.items.get_or_insert_with(|| Items {
            list: Box::new(List::<T::Item>::default()),
            stop: |list| {
                if let Some(list) = list.downcast_ref::<List<T::Item>>() {
                    list.stop();
                }
            },
        });
        let list = items.list.downcast_ref::<List<T::Item>>();
        list.expect("a type has one type of items").clone()
    }

    /// Lets a job take items ahead, if none runs and there is room.
    fn take_ahead(&mut self, list: &Arc<Input<Item<T::Item>>>) {
        let capacity = self.capacity.unwrap_or(ITEMS_DEFAULT);
        if matches!(self.state, State::Idle(Some(_))) && list.begin(capacity) {
            let Some(mut iter) = self.take_idle() else { return };
            let list = list.clone();
            let job = unblock(move || {
                list.collect(&mut iter, capacity);
                iter
            });
            self.state = State::Busy(Work::Iterate, job);
        }
    }
}

impl<T: Iterator + Send + 'static> Stream for Unblock<T>
where
    T::Item: Send + 'static,
{
    type Item = T::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T::Item>> {
        let this = &mut *self;
        let list = this.list();
        loop {
            if let Poll::Ready(next) = list.poll_next(cx) {
                this.collect_job(Work::Iterate, cx);
                if next.is_some() {
                    this.take_ahead(&list);
                }
                return Poll::Ready(next);
            }
            if this.is_busy_with(Work::Iterate) {
                ready!(this.poll_job(cx));
                continue;
            }
            ready!(this.poll_idle(cx));
            if matches!(this.state, State::Idle(None)) {
                return Poll::Ready(None);
            }
            this.take_ahead(&list);
        }
    }
}

/// The job that writes and flushes.
fn start_writing<T: Write + Send + 'static>(mut io: Box<T>, output: Arc<Output>) -> Task<Box<T>> {
    unblock(move || {
        output.drain(&mut io);
        io
    })
}

impl<T: Write + Send + 'static> AsyncWrite for Unblock<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            let is_idle = match &this.state {
                State::Idle(None) => return Poll::Ready(Err(closed("write"))),
                State::Idle(Some(_)) => true,
                State::Busy(Work::Write, _) => false,
                State::Busy(..) | State::Seeking(..) | State::Closing(_) => {
                    ready!(this.poll_idle(cx));
                    continue;
                }
            };
            match this.output.poll_push(cx, buf, this.bytes_max(), is_idle) {
                Poll::Ready(Ok(count)) => {
                    this.flush = Some(start_writing);
                    if let Some(io) = this.take_idle() {
                        let job = start_writing(io, this.output.clone());
                        this.state = State::Busy(Work::Write, job);
                    }
                    return Poll::Ready(Ok(count));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                // Full, or the job is about to come back.
                Poll::Pending => ready!(this.poll_job(cx)),
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Reading need not stop for it.
        if self.flush.is_some() || self.is_busy_with(Work::Write) {
            ready!(self.poll_idle(cx));
        }
        Poll::Ready(self.output.take_error().map_or(Ok(()), Err))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        ready!(self.poll_idle(cx));
        if let Some(io) = self.take_idle() {
            // Closing may block as well.
            self.state = State::Closing(unblock(move || drop(io)));
            ready!(self.poll_job(cx));
        }
        self.forget_input();
        Poll::Ready(Ok(()))
    }
}

impl<T: Seek + Send + 'static> AsyncSeek for Unblock<T> {
    fn poll_seek(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pos: SeekFrom,
    ) -> Poll<io::Result<u64>> {
        let this = &mut *self;
        loop {
            if let State::Seeking(original, task) = &mut this.state {
                let original = *original;
                let (result, io) = ready!(Pin::new(task).poll(cx));
                this.state = State::Idle(Some(io));
                if result.is_ok() {
                    this.input.clear();
                }
                // A seek that was dropped may have wanted to go elsewhere.
                if original == pos {
                    return Poll::Ready(result);
                }
            }
            ready!(this.poll_idle(cx));
            if let Some(error) = this.output.take_error() {
                return Poll::Ready(Err(error));
            }
            let Some(mut io) = this.take_idle() else { return Poll::Ready(Err(closed("seek"))) };
            let unread_bytes = this.input.len() as i64;
            let job = unblock(move || {
                let result = match pos {
                    // The value's position is behind what was read ahead.
                    SeekFrom::Current(offset) => match offset.checked_sub(unread_bytes) {
                        Some(offset) => io.seek(SeekFrom::Current(offset)),
                        None => {
                            io.seek(SeekFrom::Current(-unread_bytes)).and_then(|_| io.seek(pos))
                        }
                    },
                    SeekFrom::Start(_) | SeekFrom::End(_) => io.seek(pos),
                };
                (result, io)
            });
            this.state = State::Seeking(pos, job);
        }
    }
}
