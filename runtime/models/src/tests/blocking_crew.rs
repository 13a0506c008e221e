//! Goal: of a job that is pushed and a thread of the blocking pool that idles, leaves or finds another job, one sees the other.
//! Method: jobs are a counter; a call that asks for a thread gets one that does what is there. In the end no job may be left.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::crew::{Call, Crew, Refused};
use crate::explore;

struct Pool {
    crew: Crew<()>,
    queued: AtomicUsize,
    done: AtomicUsize,
    dropped: AtomicUsize,
}

impl Pool {
    fn new(threads_max: usize) -> Arc<Pool> {
        let counter = || AtomicUsize::new(0);
        let (queued, done, dropped) = (counter(), counter(), counter());
        Arc::new(Pool { crew: Crew::new(threads_max), queued, done, dropped })
    }

    /// With one thread, which searches.
    fn with_searcher(threads_max: usize) -> Arc<Pool> {
        let pool = Pool::new(threads_max);
        assert!(matches!(pool.crew.call(), Call::Start));
        pool
    }

    fn push(&self) -> Call<()> {
        // Relaxed: nothing but the fences of the protocol shall order it.
        self.queued.fetch_add(1, Ordering::Relaxed);
        self.call()
    }

    fn call(&self) -> Call<()> {
        let call = self.crew.call();
        if matches!(call, Call::Closed) {
            self.cancel();
        }
        call
    }

    fn take(&self) -> bool {
        // As a queue does; and the read-modify-write alone would always see the newest count.
        if self.is_empty() {
            return false;
        }
        let one_less = |queued: usize| queued.checked_sub(1);
        self.queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }

    fn is_empty(&self) -> bool {
        self.queued.load(Ordering::Relaxed) == 0
    }

    fn cancel(&self) {
        while self.take() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The life of a searcher until it idles (true), or has left (false). Whoever it has called lives before it goes on.
    fn work(&self, id: usize) -> bool {
        loop {
            if !self.crew.is_closed() && self.take() {
                if self.crew.found() && !self.is_empty() && is_for_somebody(&self.call()) {
                    self.work(id + 10);
                }
                self.done.fetch_add(1, Ordering::Relaxed);
                self.crew.search();
                continue;
            }
            if !self.crew.fall_idle(id, ()) {
                return false;
            }
            self.crew.recheck();
            if self.is_empty() {
                return true;
            }
            self.crew.wake_up(id);
        }
    }

    /// The keep-alive of idle thread `id` has passed. Works if it has been called.
    fn leave(&self, id: usize) {
        let has_left = self.crew.leave(id);
        if has_left {
            self.crew.recheck();
        }
        if !has_left || (!self.is_empty() && self.crew.rejoin()) {
            self.work(id);
        }
    }

    /// The life of a searcher whose job never ends. True if it has called somebody.
    fn get_stuck(&self) -> bool {
        assert!(self.take());
        self.done.fetch_add(1, Ordering::Relaxed);
        self.crew.found() && !self.is_empty() && is_for_somebody(&self.call())
    }
}

fn is_for_somebody(call: &Call<()>) -> bool {
    matches!(call, Call::Wake(()) | Call::Start)
}

fn is_woken(refused: &Refused<()>) -> bool {
    assert!(!matches!(refused, Refused::Alone));
    matches!(refused, Refused::Wake(()))
}

#[test]
fn a_push_meets_a_thread_that_idles() {
    explore(3, || {
        let pool = Pool::with_searcher(1);
        let other = pool.clone();
        let thread = thread::spawn(move || other.work(1));
        let call = pool.push();
        thread.join().unwrap();
        if is_for_somebody(&call) {
            pool.work(2);
        }
        assert_eq!(pool.done.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_push_meets_the_last_thread_that_leaves() {
    explore(3, || {
        let pool = Pool::with_searcher(1);
        assert!(pool.work(1));
        let other = pool.clone();
        let thread = thread::spawn(move || other.leave(1));
        let call = pool.push();
        thread.join().unwrap();
        // Whom it wakes is that thread, which sees to it itself.
        if matches!(call, Call::Start) {
            pool.work(2);
        }
        assert_eq!(pool.done.load(Ordering::Relaxed), 1);
        assert!(pool.crew.threads().0 <= 1);
    });
}

#[test]
fn two_pushes_meet_a_searcher() {
    explore(2, || {
        let pool = Pool::with_searcher(2);
        let (worker, pusher) = (pool.clone(), pool.clone());
        let searcher = thread::spawn(move || worker.work(1));
        let pushing = thread::spawn(move || pusher.push());
        let calls = [pool.push(), pushing.join().unwrap()];
        searcher.join().unwrap();
        for (number, _) in calls.iter().enumerate().filter(|(_, call)| is_for_somebody(call)) {
            pool.work(2 + number);
        }
        assert_eq!(pool.done.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn a_push_meets_a_searcher_that_gets_stuck() {
    explore(3, || {
        let pool = Pool::new(2);
        assert!(is_for_somebody(&pool.push()));
        let other = pool.clone();
        let stuck = thread::spawn(move || other.get_stuck());
        let call = pool.push();
        let has_called = stuck.join().unwrap();
        // One of them has seen to the second job, and not both.
        assert!(has_called != is_for_somebody(&call));
        pool.work(2);
        assert_eq!(pool.done.load(Ordering::Relaxed), 2);
    });
}

/// The one thread finishes its job, a second job comes, and the system refuses the thread that was to be started for the first.
#[test]
fn a_push_relies_on_a_thread_that_is_refused() {
    explore(3, || {
        let pool = Pool::new(2);
        assert!(is_for_somebody(&pool.push()));
        assert!(!pool.get_stuck());
        assert!(matches!(pool.push(), Call::Start));
        let (worker, pusher) = (pool.clone(), pool.clone());
        let working = thread::spawn(move || {
            worker.crew.search();
            worker.work(1);
        });
        let pushing = thread::spawn(move || match pusher.push() {
            Call::Wake(()) => true,
            Call::Start => is_woken(&pusher.crew.refused()),
            Call::Nobody | Call::Closed => false,
        });
        let was_woken = is_woken(&pool.crew.refused());
        let was_called = pushing.join().unwrap();
        working.join().unwrap();
        if was_woken || was_called {
            pool.work(1);
        }
        assert_eq!(pool.done.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn two_pushes_call_one_thread_each_at_most() {
    explore(3, || {
        let pool = Pool::new(8);
        let pusher = pool.clone();
        let pushing = thread::spawn(move || pusher.push());
        let calls = [pool.push(), pushing.join().unwrap()];
        // The first one's searcher will find both.
        assert_eq!(calls.iter().filter(|call| is_for_somebody(call)).count(), 1);
        pool.work(1);
        assert_eq!(pool.done.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn a_push_meets_the_end() {
    explore(3, || {
        let pool = Pool::with_searcher(1);
        assert!(pool.work(1));
        let pusher = pool.clone();
        let pushing = thread::spawn(move || {
            if is_for_somebody(&pusher.push()) {
                pusher.work(2);
            }
        });
        for () in pool.crew.close() {
            assert!(!pool.work(1));
        }
        pool.cancel();
        pushing.join().unwrap();
        let (done, dropped) = (&pool.done, &pool.dropped);
        assert_eq!(done.load(Ordering::Relaxed) + dropped.load(Ordering::Relaxed), 1);
        assert_eq!(pool.crew.threads().0, 0);
    });
}

#[test]
fn a_push_meets_the_end_of_a_pool_that_is_full() {
    explore(3, || {
        let pool = Pool::new(1);
        assert!(is_for_somebody(&pool.push()));
        assert!(!pool.get_stuck());
        let pusher = pool.clone();
        let pushing = thread::spawn(move || assert!(!is_for_somebody(&pusher.push())));
        assert!(pool.crew.close().is_empty());
        pool.cancel();
        pushing.join().unwrap();
        assert_eq!(pool.dropped.load(Ordering::Relaxed), 1);
        assert_eq!(pool.crew.threads().0, 1);
        // The stuck one comes back.
        pool.crew.search();
        assert!(!pool.work(1));
        assert_eq!(pool.crew.threads().0, 0);
    });
}
