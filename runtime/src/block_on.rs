//! `block_on`, for threads that are no workers.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::context;
use crate::reactor::commons::{self, Presence};
use crate::reactor::parker::Parker;

/// A future that keeps waking itself lets I/O and timers have a look this often.
const SELF_WAKES_MAX: u32 = 16;

/// Runs a future to completion on the current thread.
///
/// While the future waits, this thread waits in the reactor, so that I/O and timers need no other
/// thread: `block_on(async {})` starts none. Tasks spawned with [`spawn`](crate::spawn) run on the workers of a
/// [`Runtime`](crate::Runtime).
///
/// # Nesting
///
/// It may be called anywhere: in another `block_on`, in [`unblock`](crate::unblock), in a foreign executor, and there may be a foreign
/// `block_on` inside. (A waker that is not ours may mean that this thread will sleep where it drives nothing: then a helper thread,
/// `smolkit-io`, is started, and stands in.)
///
/// In a task `.await` is what you want. There `block_on` runs other tasks of the same worker meanwhile, on top of the present one's stack: a
/// lock that is held across it, and that such a task wants too, is a deadlock. 64 such calls fit on top of each other; those above
/// run no other tasks.
///
/// # Examples
///
/// ```
/// assert_eq!(smolkit_runtime::block_on(async { 1 + 2 }), 3);
/// ```
pub fn block_on<T>(mut future: impl Future<Output = T>) -> T {
    // Pinned where it is: `pin!` would move it, and in a debug build a large future would be on the stack twice.
    // SAFETY: it stays there until it is dropped, at the end of this function.
    let future = unsafe { Pin::new_unchecked(&mut future) };
    block_on_pinned(future)
}

fn block_on_pinned<T>(mut future: Pin<&mut impl Future<Output = T>>) -> T {
    if let Some(worker) = context::worker() {
        return worker.block_on(future);
    }
    let seat = Seat::take();
    let (parker, waker) = seat.parts();
    let mut cx = Context::from_waker(waker);
    let _presence = Presence::new();
    let _blocking = context::Blocking::enter(waker);
    let mut wakers = Vec::new();
    let mut self_wakes = 0;
    loop {
        context::refill_budget();
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        if !parker.take_notification() {
            self_wakes = 0;
            commons::park(parker, &mut wakers);
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
struct Seat(Option<(Arc<Parker>, Waker)>);

thread_local! {
    static SEAT: Cell<Option<(Arc<Parker>, Waker)>> = const { Cell::new(None) };
}

impl Seat {
    /// The thread's own, or a new one if that is in use further up the stack.
    fn take() -> Seat {
        let kept = SEAT.try_with(Cell::take).ok().flatten();
        Seat(Some(kept.unwrap_or_else(|| {
            let parker = Arc::new(Parker::new());
            (parker.clone(), parker.into())
        })))
    }

    fn parts(&self) -> (&Arc<Parker>, &Waker) {
        let (parker, waker) = self.0.as_ref().expect("only the destructor empties it");
        (parker, waker)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let kept = self.0.take();
        // Fails while the thread's locals are being destroyed: then nothing is kept.
        let _ = SEAT.try_with(|seat| seat.set(kept));
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.unpark(|| {
            if let Some(commons) = commons::existing() {
                commons.notify();
            }
        });
    }
}
