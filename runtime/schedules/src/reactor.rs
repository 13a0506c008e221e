//! A shard without a poller: it sleeps until it is notified, with the runtime's own park word. Nothing is registered in it.

use std::io;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crate::sync::{AtomicBool, AtomicUsize, Condvar, Instant, Mutex, Ordering, lock};

#[path = "../../src/reactor/park.rs"]
mod park;

use self::park::ParkState;

pub(crate) struct Shard {
    park: ParkState,
    driver: Mutex<()>,
    /// Whether the eventfd has been written.
    is_rung: Mutex<bool>,
    bell: Condvar,
    progress: AtomicUsize,
    is_closed: AtomicBool,
}

impl Shard {
    pub(crate) fn new(_is_common: bool) -> io::Result<Arc<Shard>> {
        Ok(Arc::new(Shard {
            park: ParkState::new(),
            driver: Mutex::new(()),
            is_rung: Mutex::new(false),
            bell: Condvar::new(),
            progress: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
        }))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    pub(crate) fn is_idle(&self) -> bool {
        true
    }

    pub(crate) fn is_parked(&self) -> bool {
        self.park.is_parked()
    }

    pub(crate) fn notify(&self) {
        if self.park.notify() {
            self.ring();
        }
    }

    pub(crate) fn call(&self) {
        if self.park.call() {
            self.ring();
        }
    }

    pub(crate) fn note_progress(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn progress(&self) -> usize {
        self.progress.load(Ordering::Relaxed)
    }

    pub(crate) fn turn(&self, limit: Option<Duration>, _wakers: &mut Vec<Waker>) -> bool {
        let Ok(_driver) = self.driver.try_lock() else { return false };
        self.drive(limit, || false);
        true
    }

    /// In the order of the runtime's.
    pub(crate) fn turn_at_home(&self, limit: Option<Duration>, _wakers: &mut Vec<Waker>) {
        let driver = match self.driver.try_lock() {
            Ok(driver) => driver,
            Err(_) => {
                self.note_progress();
                self.notify();
                lock(&self.driver)
            }
        };
        self.drive(limit, || self.park.is_called());
        drop(driver);
        self.park.take_call();
        self.note_progress();
    }

    fn drive(&self, limit: Option<Duration>, is_called: impl Fn() -> bool) {
        let wants_wait = limit != Some(Duration::ZERO);
        if wants_wait && self.park.begin() && !is_called() {
            if limit.is_some() {
                crate::sync::thread::yield_now();
            } else {
                let mut is_rung = lock(&self.is_rung);
                while !*is_rung {
                    is_rung = self.bell.wait(is_rung).expect("no scenario panics under a lock");
                }
            }
        }
        *lock(&self.is_rung) = false;
        if wants_wait {
            self.park.end();
        }
    }

    fn ring(&self) {
        *lock(&self.is_rung) = true;
        self.bell.notify_one();
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        None
    }

    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.notify();
    }
}

pub(crate) mod commons {
    use std::io;
    use std::sync::Arc;
    use std::task::Waker;

    use super::Shard;

    pub(crate) enum Commons {}

    impl Commons {
        pub(crate) fn poll(&self, _wakers: &mut Vec<Waker>) {
            match *self {}
        }

        pub(crate) fn note_stranger(&self) -> io::Result<()> {
            match *self {}
        }

        pub(crate) fn ensure_helper(&self) -> io::Result<()> {
            match *self {}
        }
    }

    pub(crate) fn existing() -> Option<&'static Commons> {
        None
    }

    pub(crate) fn shard() -> io::Result<Arc<Shard>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn wake_quietly(wakers: &mut Vec<Waker>) {
        wakers.drain(..).for_each(Waker::wake);
    }
}

pub(crate) mod helper {
    use std::io;
    use std::sync::Arc;

    use super::Shard;

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) enum Attendance {
        Present,
        Away,
        Nobody,
        Over,
    }

    pub(crate) trait Ward: Send + Sync {
        fn attendance(&self) -> Attendance;
        fn progress(&self) -> usize;
        fn shards(&self, shards: &mut Vec<Arc<Shard>>) -> bool;
    }

    /// No scenario has anything for a helper to do.
    pub(crate) fn attend(_ward: Arc<dyn Ward>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
