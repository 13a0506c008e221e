//! A shard for the source: the runtime's table of keys, over a kernel of one descriptor.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::task::Waker;

use crate::readiness::Ready;
use crate::sync::{AtomicUsize, Mutex, Ordering, lock};

pub(crate) use crate::readiness;

#[path = "../../src/reactor/source.rs"]
pub(crate) mod source;

#[path = "../../src/reactor/sources.rs"]
mod sources;

use self::source::Source;
use self::sources::Sources;

/// Bytes in a socket, and the shards that are to be told of them.
pub(crate) struct Kernel {
    bytes: AtomicUsize,
    watches: Mutex<Vec<(Arc<Inbox>, usize)>>,
}

/// What a poller has to report.
pub(crate) struct Inbox {
    keys: Mutex<Vec<usize>>,
    bell: loom::sync::Condvar,
}

impl Kernel {
    pub(crate) fn new() -> Arc<Kernel> {
        Arc::new(Kernel { bytes: AtomicUsize::new(0), watches: Mutex::new(Vec::new()) })
    }

    pub(crate) fn write(&self) {
        let watches = lock(&self.watches);
        self.bytes.fetch_add(1, Ordering::SeqCst);
        watches.iter().for_each(|(inbox, key)| inbox.report(*key));
    }

    pub(crate) fn read(&self) -> bool {
        let take = |bytes: usize| bytes.checked_sub(1);
        self.bytes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok()
    }

    fn watch(&self, inbox: &Arc<Inbox>, key: usize) {
        let mut watches = lock(&self.watches);
        let is_new = !watches.iter().any(|(other, _)| Arc::ptr_eq(other, inbox));
        assert!(is_new, "EEXIST");
        watches.push((inbox.clone(), key));
        if self.bytes.load(Ordering::SeqCst) > 0 {
            inbox.report(key);
        }
    }

    fn forget(&self, inbox: &Arc<Inbox>) {
        lock(&self.watches).retain(|(other, _)| !Arc::ptr_eq(other, inbox));
    }
}

impl Inbox {
    fn report(&self, key: usize) {
        lock(&self.keys).push(key);
        self.bell.notify_one();
    }
}

pub(crate) struct Shard {
    kernel: Arc<Kernel>,
    inbox: Arc<Inbox>,
    sources: Mutex<Sources<Arc<Source>>>,
    closed: AtomicUsize,
    is_common: bool,
}

/// In the order of the runtime's.
impl Shard {
    pub(crate) fn new(kernel: &Arc<Kernel>, is_common: bool) -> Arc<Shard> {
        Arc::new(Shard {
            kernel: kernel.clone(),
            inbox: Arc::new(Inbox {
                keys: Mutex::new(Vec::new()),
                bell: loom::sync::Condvar::new(),
            }),
            sources: Mutex::new(Sources::new()),
            closed: AtomicUsize::new(0),
            is_common,
        })
    }

    pub(crate) fn is_common(&self) -> bool {
        self.is_common
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst) != 0
    }

    pub(crate) fn register(&self, source: &Arc<Source>, _fd: BorrowedFd<'_>) -> io::Result<usize> {
        let key = lock(&self.sources).insert(source.clone())?;
        self.kernel.watch(&self.inbox, key);
        Ok(key)
    }

    pub(crate) fn rearm(&self, _fd: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        self.kernel.forget(&self.inbox);
        self.kernel.watch(&self.inbox, key);
        Ok(())
    }

    pub(crate) fn deregister(&self, _fd: BorrowedFd<'_>, key: usize) {
        self.kernel.forget(&self.inbox);
        lock(&self.sources).remove(key);
    }

    /// Waits for one event, and delivers it.
    pub(crate) fn turn(&self) {
        let mut keys = lock(&self.inbox.keys);
        let key = loop {
            match keys.pop() {
                Some(key) => break key,
                None => keys = self.inbox.bell.wait(keys).unwrap(),
            }
        };
        drop(keys);
        let mut wakers = Vec::new();
        let source = lock(&self.sources).get(key).cloned();
        if let Some(source) = source {
            source.deliver(Ready::READABLE, &mut wakers);
        }
        wake_all(&mut wakers);
    }

    pub(crate) fn close(&self) {
        let slots = {
            let mut sources = lock(&self.sources);
            self.closed.store(1, Ordering::SeqCst);
            sources.take_all()
        };
        let mut wakers = Vec::new();
        for source in slots {
            source.orphan(self, &mut wakers);
        }
        wake_all(&mut wakers);
    }
}

pub(crate) fn wake_all(wakers: &mut Vec<Waker>) {
    wakers.drain(..).for_each(Waker::wake);
}
