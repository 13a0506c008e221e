//! One registered file descriptor: what it is ready for, and who waits for it.

use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use super::Shard;
use super::readiness::{Readiness, Ready, Snapshot};
use crate::context;
use crate::sync::{Mutex, lock};
use crate::sys::TELLS_END;

/// One of the two ways in which bytes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    Read,
    Write,
}

impl Way {
    /// The bits that let a caller try.
    fn ready(self) -> Ready {
        match self {
            Way::Read => Ready::READABLE | Ready::READ_CLOSED,
            Way::Write => Ready::WRITABLE | Ready::WRITE_CLOSED,
        }
    }

    fn closed(self) -> Ready {
        match self {
            Way::Read => Ready::READ_CLOSED,
            Way::Write => Ready::WRITE_CLOSED,
        }
    }
}

/// So many wakers may wait in the `poll_*` functions for one direction before all of them are woken, to sort out those that nobody needs any more.
/// If they come back, there may be twice as many next time. Those that were woken last are kept for that, so twice as many wakers are held at the most.
const POLLERS_MAX: usize = 32;

pub(crate) struct Source {
    fd: RawFd,
    readiness: Readiness,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    home: Option<Home>,
    read: Direction,
    write: Direction,
}

/// The shard that watches this source, and the name it has there.
struct Home {
    shard: Arc<Shard>,
    key: usize,
}

#[derive(Default)]
struct Direction {
    /// Events for this direction so far.
    events: usize,
    /// The count of events when a caller of `poll_level` began to wait.
    armed: Option<usize>,
    /// The next operation goes on even if the task's turn is over.
    is_put_off: bool,
    /// The task that polls; there is rarely more than one.
    poller: Option<Waker>,
    crowd: Option<Box<Crowd>>,
}

#[derive(Default)]
struct Crowd {
    pollers: Vec<Waker>,
    pollers_max: usize,
    /// Those that were woken last because there were too many, to see which of them come back.
    woken: Option<Arc<[Waker]>>,
    waiters: Slab<Option<Waker>>,
}

impl Source {
    /// A source for `fd`, which has to stay open until `deregister` has been called. Nothing is registered yet.
    pub(crate) fn new(fd: RawFd) -> Arc<Source> {
        Arc::new(Source { fd, readiness: Readiness::new(), state: Mutex::new(State::default()) })
    }

    /// Registers with the present thread's shard, if that has not happened yet.
    pub(crate) fn register(self: &Arc<Self>) -> io::Result<()> {
        self.home(&mut lock(&self.state)).map(drop)
    }

    /// Nobody waits for this source any more, and its descriptor may be closed.
    pub(crate) fn deregister(&self) {
        // The wakers go here, where no lock is held: an event that is just being delivered may keep the source itself for longer,
        // and then drops it under the driver's lock.
        let State { home, read, write } = std::mem::take(&mut *lock(&self.state));
        if let Some(home) = home {
            home.shard.deregister(self.fd(), home.key);
        }
        drop((read, write));
    }

    /// What is believed ready; take it before the system call and give it to `block` or `drained` after.
    pub(crate) fn seen(&self) -> Snapshot {
        self.readiness.load()
    }

    pub(crate) fn is_ready(&self, seen: Snapshot, way: Way) -> bool {
        seen.intersects(way.ready())
    }

    /// A system call has said `WouldBlock`.
    pub(crate) fn block(&self, seen: Snapshot, way: Way) {
        self.readiness.clear(seen, way.ready());
    }

    /// A stream socket moved fewer bytes than asked for: the next call would block, unless the end is near.
    pub(crate) fn drained(&self, seen: Snapshot, way: Way) {
        let may_end = way == Way::Read && !TELLS_END;
        if !may_end && !seen.intersects(way.closed()) {
            self.block(seen, way);
        }
    }

    /// Asked when a task's turn is over. True if the last operation was put off for that reason: else one beside a socket that never runs dry, in
    /// the same task, would be put off in every turn.
    pub(crate) fn was_put_off(&self, way: Way) -> bool {
        let mut state = lock(&self.state);
        let is_put_off = &mut state.direction(way).is_put_off;
        *is_put_off = !*is_put_off;
        !*is_put_off
    }

    /// Waits until the next call is worth trying. For one task at a time, or a few.
    pub(crate) fn poll_ready(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        way: Way,
    ) -> Poll<io::Result<()>> {
        if self.is_ready(self.seen(), way) {
            return Poll::Ready(Ok(()));
        }
        context::expect_wake(cx.waker());
        let waker = cx.waker().clone();
        let mut state = lock(&self.state);
        self.home(&mut state)?;
        if self.is_ready(self.seen(), way) {
            return Poll::Ready(Ok(()));
        }
        let spare = state.direction(way).add_poller(waker);
        drop(state);
        spare.settle();
        Poll::Pending
    }

    /// As `poll_ready`, for a future with a place of its own in `slot`.
    pub(crate) fn poll_waiting(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        way: Way,
        slot: &mut Option<usize>,
    ) -> Poll<io::Result<()>> {
        if self.is_ready(self.seen(), way) {
            return Poll::Ready(Ok(()));
        }
        context::expect_wake(cx.waker());
        let waker = cx.waker().clone();
        let mut state = lock(&self.state);
        self.home(&mut state)?;
        if self.is_ready(self.seen(), way) {
            return Poll::Ready(Ok(()));
        }
        let spare = state.direction(way).add_waiter(waker, slot);
        drop(state);
        drop(spare);
        Poll::Pending
    }

    /// Waits for an event that is newer than `armed`, having asked the kernel for the present level.
    ///
    /// For callers that do their own system calls, of whose `WouldBlock` we know nothing.
    pub(crate) fn poll_level_waiting(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        way: Way,
        armed: &mut Option<usize>,
        slot: &mut Option<usize>,
    ) -> Poll<io::Result<()>> {
        context::expect_wake(cx.waker());
        let waker = cx.waker().clone();
        let mut state = lock(&self.state);
        let events = state.direction(way).events;
        match *armed {
            Some(then) if then != events => return Poll::Ready(Ok(())),
            Some(_) => {}
            None => *armed = Some(events),
        }
        // Into its place first: the answer may come at once.
        let is_new = slot.is_none();
        let spare = state.direction(way).add_waiter(waker, slot);
        let result = if is_new { self.arm(&mut state) } else { self.home(&mut state).map(drop) };
        drop(state);
        drop(spare);
        result.map_or_else(|error| Poll::Ready(Err(error)), |()| Poll::Pending)
    }

    /// The same for the `poll_readable` family, which has no future to keep its state in.
    pub(crate) fn poll_level(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        way: Way,
    ) -> Poll<io::Result<()>> {
        context::expect_wake(cx.waker());
        let waker = cx.waker().clone();
        let mut state = lock(&self.state);
        let direction = state.direction(way);
        let must_arm = direction.armed.is_none();
        if direction.armed.is_some_and(|then| then != direction.events) {
            direction.armed = None;
            return Poll::Ready(Ok(()));
        }
        direction.armed = Some(direction.events);
        let spare = direction.add_poller(waker);
        let result = if must_arm { self.arm(&mut state) } else { self.home(&mut state).map(drop) };
        if result.is_err() {
            // Nothing will come: the next call asks again.
            state.direction(way).armed = None;
        }
        drop(state);
        spare.settle();
        result.map_or_else(|error| Poll::Ready(Err(error)), |()| Poll::Pending)
    }

    /// A future that had a place in `slot` is gone.
    pub(crate) fn leave(&self, way: Way, slot: Option<usize>) {
        let Some(slot) = slot else { return };
        let mut state = lock(&self.state);
        let left = state.direction(way).crowd.as_mut().and_then(|c| c.waiters.try_remove(slot));
        drop(state);
        drop(left);
    }

    /// An event has come.
    pub(super) fn deliver(&self, ready: Ready, wakers: &mut Vec<Waker>) {
        self.readiness.set(ready);
        let mut state = lock(&self.state);
        if ready.intersects(Way::Read.ready()) {
            state.read.take_all(wakers);
        }
        if ready.intersects(Way::Write.ready()) {
            state.write.take_all(wakers);
        }
    }

    /// The shard is closed: everybody tries again, and whoever waits next registers elsewhere.
    pub(super) fn orphan(&self, shard: &Shard, wakers: &mut Vec<Waker>) {
        // It may have found another one meanwhile.
        let home = lock(&self.state).home.take_if(|home| ptr::eq(&*home.shard, shard));
        self.deliver(Ready::READABLE | Ready::WRITABLE, wakers);
        drop(home);
    }

    /// The shard that watches this source: the present thread's, from the first wait on.
    fn home<'s>(self: &Arc<Self>, state: &'s mut State) -> io::Result<&'s Home> {
        if state.home.as_ref().is_some_and(|home| home.shard.is_closed()) {
            state.home = None;
        }
        while state.home.is_none() {
            let shard = context::shard()?;
            let key = shard.register(self, self.fd())?;
            if shard.is_closed() {
                // By another thread, in between: it may not have seen us.
                shard.deregister(self.fd(), key);
                continue;
            }
            state.home = Some(Home { shard, key });
        }
        let home = state.home.as_ref().expect("it has just been set");
        if home.shard.is_common() {
            context::ensure_driven()?;
        }
        Ok(home)
    }

    /// Has the kernel report the present level.
    fn arm(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        let is_new = state.home.is_none();
        let home = self.home(state)?;
        // A new registration reports the level by itself.
        if is_new { Ok(()) } else { home.shard.rearm(self.fd(), home.key) }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: `Source::new` asks that the descriptor stay open until `deregister`; `Async`, the only caller, deregisters
        // in its destructor, before it closes the descriptor.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}

impl State {
    fn direction(&mut self, way: Way) -> &mut Direction {
        match way {
            Way::Read => &mut self.read,
            Way::Write => &mut self.write,
        }
    }
}

impl Direction {
    fn add_poller(&mut self, waker: Waker) -> Spare {
        let Some(poller) = &mut self.poller else {
            self.poller = Some(waker);
            return Spare::None;
        };
        if poller.will_wake(&waker) {
            return Spare::Drop(waker);
        }
        let crowd = self.crowd.get_or_insert_default();
        crowd.pollers_max = crowd.pollers_max.max(POLLERS_MAX);
        let pollers = &mut crowd.pollers;
        if pollers.iter().any(|other| other.will_wake(&waker)) {
            return Spare::Drop(waker);
        }
        pollers.push(waker);
        if pollers.len() <= crowd.pollers_max {
            return Spare::None;
        }
        let woken: Arc<[Waker]> = std::mem::take(pollers).into();
        let before = crowd.woken.replace(woken.clone());
        if before.as_ref().is_some_and(|before| have_come_back(&woken, before)) {
            crowd.pollers_max *= 2;
        }
        Spare::Wake(woken, before)
    }

    /// Returns the waker that the new one replaces.
    fn add_waiter(&mut self, waker: Waker, slot: &mut Option<usize>) -> Option<Waker> {
        let waiters = &mut self.crowd.get_or_insert_default().waiters;
        match slot.and_then(|slot| waiters.get_mut(slot)) {
            Some(stored) => stored.replace(waker),
            None => {
                *slot = Some(waiters.insert(Some(waker)));
                None
            }
        }
    }

    fn take_all(&mut self, wakers: &mut Vec<Waker>) {
        self.events = self.events.wrapping_add(1);
        wakers.extend(self.poller.take());
        if let Some(crowd) = &mut self.crowd {
            wakers.append(&mut crowd.pollers);
            crowd.pollers_max = POLLERS_MAX;
            // Those with a place keep it until they leave.
            wakers.extend(crowd.waiters.iter_mut().filter_map(|(_, waker)| waker.take()));
        }
    }
}

/// A waker that is left over when the lock is released: a waker's code never runs under it.
enum Spare {
    None,
    Drop(Waker),
    /// And those that were woken the last time.
    Wake(Arc<[Waker]>, Option<Arc<[Waker]>>),
}

/// Whether a good part of those who wait now (a look at some of them is enough) were woken before, and not others who will be gone before anything happens.
fn have_come_back(now: &[Waker], before: &[Waker]) -> bool {
    let some = now.iter().step_by(now.len().div_ceil(POLLERS_MAX));
    let (mut looked_at, mut back) = (0, 0);
    for waker in some {
        looked_at += 1;
        back += usize::from(before.iter().any(|other| other.will_wake(waker)));
    }
    back * 4 >= looked_at
}

impl Spare {
    fn settle(self) {
        match self {
            Spare::None => {}
            Spare::Drop(waker) => drop(waker),
            Spare::Wake(woken, before) => {
                super::wake_all(&mut woken.to_vec());
                drop(before);
            }
        }
    }
}
