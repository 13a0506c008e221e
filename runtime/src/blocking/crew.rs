//! Who of the pool works, searches and idles: the protocol by which a job gets a thread, and no more than one is called for it.
//!
//! *Push*: make the job visible, fence, look at the counts ([`Crew::call`]). Somebody searches: they will find it. Else one idle thread is called, or
//! a new one started, and counts as searching from then on.
//! *Take*: the last searcher that finds a job calls the next one if there is more, because pushes relied on it.
//! *Idle*: get on the list, fence, look at the queue once more. *Leave*: get off the list and the count of threads, fence, look at the queue once
//! more, and come back if there is a job.
//! Of a push and a thread that idles or leaves, one sees the other.

use crate::sync::{AtomicUsize, Mutex, Ordering, fence, lock};

/// The pool takes no more jobs.
const CLOSED: usize = 1;
/// There are as many threads as there may be.
const FULL: usize = 2;
const SEARCHING: usize = 4;
const IDLE: usize = 1 << (usize::BITS / 2);

/// More threads than this are never allowed; the counts have room for them.
pub(crate) const THREADS_MAX: usize = 10_000;

pub(crate) struct Crew<W> {
    /// The flags, the searchers in the rest of the lower half, the idle threads on the list in the upper half.
    counts: AtomicUsize,
    roster: Mutex<Roster<W>>,
}

struct Roster<W> {
    idle: Vec<(usize, W)>,
    threads: usize,
    threads_max: usize,
}

/// Whom a job needs.
#[derive(Debug)]
pub(crate) enum Call<W> {
    /// Somebody looks after it, or will when they have finished what they do.
    Nobody,
    /// This idle thread, which counts as searching now.
    Wake(W),
    /// A new thread, which counts as a thread and as searching now.
    Start,
    /// The pool is closed: nobody will look after it.
    Closed,
}

/// Who looks after the queue when a thread could not be started.
#[derive(Debug)]
pub(crate) enum Refused<W> {
    /// This idle thread, which counts as searching now.
    Wake(W),
    /// Those that search, or will when they have finished what they do.
    Others,
    /// Nobody: there is no thread.
    Alone,
}

impl<W> Crew<W> {
    pub(crate) fn new(threads_max: usize) -> Crew<W> {
        let roster = Roster { idle: Vec::new(), threads: 0, threads_max: allowed(threads_max) };
        Crew { counts: AtomicUsize::new(0), roster: Mutex::new(roster) }
    }

    /// After a push; and by the last searcher when it takes a job and leaves others.
    pub(crate) fn call(&self) -> Call<W> {
        // Orders the push before the look; pairs with the fence in `recheck`.
        fence(Ordering::SeqCst);
        if let Some(call) = without_lock(self.counts.load(Ordering::SeqCst)) {
            return call;
        }
        let mut roster = lock(&self.roster);
        if let Some(call) = without_lock(self.counts.load(Ordering::SeqCst)) {
            return call;
        }
        if let Some((_, thread)) = roster.idle.pop() {
            self.counts.fetch_sub(IDLE - SEARCHING, Ordering::SeqCst);
            return Call::Wake(thread);
        }
        if roster.threads >= roster.threads_max {
            return Call::Nobody;
        }
        self.join(&mut roster);
        Call::Start
    }

    /// The thread could not be started. Pushes have relied on it meanwhile: who takes its place?
    pub(crate) fn refused(&self) -> Refused<W> {
        let mut roster = lock(&self.roster);
        self.part(&mut roster);
        if let Some((_, thread)) = roster.idle.pop() {
            // That one counts as searching in its place.
            self.counts.fetch_sub(IDLE, Ordering::SeqCst);
            return Refused::Wake(thread);
        }
        self.counts.fetch_sub(SEARCHING, Ordering::SeqCst);
        if roster.threads == 0 { Refused::Alone } else { Refused::Others }
    }

    /// A searcher has found a job. True if it was the last one: it has to look whether there are more, and to see to them.
    pub(crate) fn found(&self) -> bool {
        let is_last = searching(self.counts.fetch_sub(SEARCHING, Ordering::SeqCst)) == 1;
        if is_last {
            // Orders the count before that look; pairs with the fence in `call`.
            fence(Ordering::SeqCst);
        }
        is_last
    }

    /// A thread has finished its job and searches again.
    pub(crate) fn search(&self) {
        self.counts.fetch_add(SEARCHING, Ordering::SeqCst);
    }

    /// A searcher gives up; the caller then calls `recheck` and looks at the queue once more. False if the pool is closed: then it is no searcher
    /// and no thread of the pool any more.
    pub(crate) fn fall_idle(&self, id: usize, thread: W) -> bool {
        let mut roster = lock(&self.roster);
        if self.is_closed() {
            self.counts.fetch_sub(SEARCHING, Ordering::SeqCst);
            self.part(&mut roster);
            return false;
        }
        roster.idle.push((id, thread));
        self.counts.fetch_add(IDLE - SEARCHING, Ordering::SeqCst);
        true
    }

    /// Orders `fall_idle` and `leave` before the last look at the queue.
    pub(crate) fn recheck(&self) {
        fence(Ordering::SeqCst);
    }

    /// Whether thread `id` has been called.
    pub(crate) fn is_called(&self, id: usize) -> bool {
        !lock(&self.roster).idle.iter().any(|(other, _)| *other == id)
    }

    /// Thread `id` searches again, called or not.
    pub(crate) fn wake_up(&self, id: usize) {
        let mut roster = lock(&self.roster);
        if roster.strike(id) {
            self.counts.fetch_sub(IDLE - SEARCHING, Ordering::SeqCst);
        }
    }

    /// Thread `id` has idled for long enough. False if it has been called meanwhile. Else the caller calls `recheck`, looks at the queue once more, and
    /// comes back with `rejoin` if there is a job.
    pub(crate) fn leave(&self, id: usize) -> bool {
        let mut roster = lock(&self.roster);
        let is_idle = roster.strike(id);
        if is_idle {
            self.counts.fetch_sub(IDLE, Ordering::SeqCst);
            self.part(&mut roster);
        }
        is_idle
    }

    /// False if there are enough threads without it, or none are wanted any more.
    pub(crate) fn rejoin(&self) -> bool {
        let mut roster = lock(&self.roster);
        let may = roster.threads < roster.threads_max && !self.is_closed();
        if may {
            self.join(&mut roster);
        }
        may
    }

    /// No calls from now on; gives those that have to be woken to leave.
    pub(crate) fn close(&self) -> Vec<W> {
        let mut roster = lock(&self.roster);
        self.counts.fetch_or(CLOSED, Ordering::SeqCst);
        let idle = std::mem::take(&mut roster.idle);
        self.counts.fetch_sub(idle.len() * (IDLE - SEARCHING), Ordering::SeqCst);
        // Orders the flag before the closer's look at the queue; pairs with the fence in `call`.
        fence(Ordering::SeqCst);
        idle.into_iter().map(|(_, thread)| thread).collect()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.counts.load(Ordering::SeqCst) & CLOSED != 0
    }

    pub(crate) fn set_threads_max(&self, threads_max: usize) {
        let mut roster = lock(&self.roster);
        roster.threads_max = allowed(threads_max);
        self.mark_full(&roster);
    }

    /// All threads, and those of them that are idle.
    pub(crate) fn threads(&self) -> (usize, usize) {
        let roster = lock(&self.roster);
        (roster.threads, roster.idle.len())
    }

    fn join(&self, roster: &mut Roster<W>) {
        roster.threads += 1;
        self.counts.fetch_add(SEARCHING, Ordering::SeqCst);
        self.mark_full(roster);
    }

    fn part(&self, roster: &mut Roster<W>) {
        roster.threads -= 1;
        self.mark_full(roster);
    }

    fn mark_full(&self, roster: &Roster<W>) {
        if roster.threads >= roster.threads_max {
            self.counts.fetch_or(FULL, Ordering::SeqCst);
        } else {
            self.counts.fetch_and(!FULL, Ordering::SeqCst);
        }
    }
}

impl<W> Roster<W> {
    /// Takes thread `id` off the list of idle ones, if it is there.
    fn strike(&mut self, id: usize) -> bool {
        // From the end: who fell idle last is called first, so that the others can leave.
        let position = self.idle.iter().rposition(|(other, _)| *other == id);
        position.map(|position| self.idle.remove(position)).is_some()
    }
}

/// What the counts alone can tell.
fn without_lock<W>(counts: usize) -> Option<Call<W>> {
    if counts & CLOSED != 0 {
        return Some(Call::Closed);
    }
    let is_anybody_free = counts >= IDLE || counts & FULL == 0;
    (searching(counts) > 0 || !is_anybody_free).then_some(Call::Nobody)
}

fn searching(counts: usize) -> usize {
    counts % IDLE / SEARCHING
}

fn allowed(threads_max: usize) -> usize {
    threads_max.clamp(1, THREADS_MAX)
}
