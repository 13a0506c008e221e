//! `block_on`, and the parker that lets its thread sleep in the reactor.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use crate::context;
use crate::reactor::commons::{self, Presence};
use crate::sync::{AtomicUsize, Ordering};

/// A future that keeps waking itself lets I/O and timers have a look this often.
const SELF_WAKES_MAX: u32 = 16;

/// Runs a future to completion on the current thread.
///
/// While the future waits, this thread waits in the reactor, so that I/O and timers need no other
/// thread: `block_on(async {})` starts none. Tasks spawned with [`spawn`](crate::spawn) run on the workers of a
/// [`Runtime`](crate::Runtime).
///
/// Inside a task it works too (the worker runs other tasks meanwhile, on top of the present one's stack), but `.await` is
/// what you want there.
///
/// # Examples
///
/// ```
/// assert_eq!(smolkit_runtime::block_on(async { 1 + 2 }), 3);
/// ```
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    if let Some(worker) = context::worker() {
        return worker.block_on(future);
    }
    let seat = Seat::take();
    let mut cx = Context::from_waker(&seat.waker);
    let _presence = Presence::new();
    let _blocking = context::Blocking::enter();
    let mut wakers = Vec::new();
    let mut self_wakes = 0;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        if !seat.parker.take_notification() {
            self_wakes = 0;
            seat.parker.park(&mut wakers);
            continue;
        }
        self_wakes += 1;
        if self_wakes == SELF_WAKES_MAX {
            self_wakes = 0;
            if let Some(commons) = commons::existing() {
                commons.poll(&mut wakers);
            }
        }
    }
}

/// A thread's parker and its waker, kept for the next `block_on` of the thread.
struct Seat {
    parker: Arc<Parker>,
    waker: Waker,
}

thread_local! {
    static SEAT: Cell<Option<(Arc<Parker>, Waker)>> = const { Cell::new(None) };
}

impl Seat {
    /// The thread's own, or a new one if that is in use further up the stack.
    fn take() -> Seat {
        let kept = SEAT.try_with(Cell::take).ok().flatten();
        let (parker, waker) = kept.unwrap_or_else(|| {
            let parker = Arc::new(Parker::new());
            (parker.clone(), parker.into())
        });
        Seat { parker, waker }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let kept = (self.parker.clone(), self.waker.clone());
        // Fails while the thread's locals are being destroyed: then nothing is kept.
        let _ = SEAT.try_with(|seat| seat.set(Some(kept)));
    }
}

const EMPTY: usize = 0;
const NOTIFIED: usize = 1;
const ASLEEP: usize = 2;
const DRIVING: usize = 3;

/// Lets one thread sleep, in the reactor or beside it, until its waker is called.
pub(crate) struct Parker {
    state: AtomicUsize,
    thread: Thread,
}

impl Parker {
    fn new() -> Parker {
        Parker { state: AtomicUsize::new(EMPTY), thread: thread::current() }
    }

    fn park(self: &Arc<Self>, wakers: &mut Vec<Waker>) {
        match commons::existing() {
            Some(commons) => commons.park(self, wakers),
            None => commons::sleep_beside(self),
        }
    }

    pub(crate) fn is_notified(&self) -> bool {
        self.state.load(Ordering::SeqCst) == NOTIFIED
    }

    fn take_notification(&self) -> bool {
        // A plain look first: the swap is the dear part.
        self.state.load(Ordering::SeqCst) == NOTIFIED
            && self.state.swap(EMPTY, Ordering::SeqCst) == NOTIFIED
    }

    /// Sleeps beside the reactor until notified.
    pub(crate) fn sleep(&self) {
        if self.begin(ASLEEP) {
            while self.state.load(Ordering::SeqCst) == ASLEEP {
                thread::park();
            }
        }
        self.state.swap(EMPTY, Ordering::SeqCst);
    }

    /// False if notified already; that notification is taken then.
    pub(crate) fn begin_driving(&self) -> bool {
        self.begin(DRIVING) || !self.take_notification()
    }

    /// True if notified meanwhile; that notification is taken.
    pub(crate) fn end_driving(&self) -> bool {
        self.state.swap(EMPTY, Ordering::SeqCst) == NOTIFIED
    }

    pub(crate) fn unpark(&self) {
        match self.state.swap(NOTIFIED, Ordering::SeqCst) {
            ASLEEP => self.thread.unpark(),
            DRIVING => {
                if let Some(commons) = commons::existing() {
                    commons.notify();
                }
            }
            _ => {}
        }
    }

    fn begin(&self, state: usize) -> bool {
        self.state.compare_exchange(EMPTY, state, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.unpark();
    }
}
