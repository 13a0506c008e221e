//! How late the kernel may end a sleep of this thread (`PR_SET_TIMERSLACK` in prctl(2)).

use std::time::Duration;

pub(crate) use imp::{allowance, reduce};

#[cfg(any(target_os = "linux", target_os = "android"))]
mod imp {
    use std::cell::Cell;
    use std::num::NonZeroU64;

    use super::Duration;

    /// What the kernel has for threads that have asked for nothing else.
    const USUAL: Duration = Duration::from_micros(50);
    const REDUCED: Duration = Duration::from_micros(10);

    thread_local! {
        /// As far as it is known.
        static SLACK: Cell<Option<Duration>> = const { Cell::new(None) };
    }

    /// The kernel's 50 µs gather wake-ups of threads that do not care; a worker's next deadline is somebody's timer.
    pub(crate) fn reduce() {
        let nanos = NonZeroU64::new(REDUCED.as_nanos() as u64);
        // Where it is refused, timers are as late as the system likes.
        if rustix::thread::set_current_timer_slack(nanos).is_ok() {
            SLACK.set(Some(REDUCED));
        }
    }

    /// So much earlier than its deadline a sleep has to end by the kernel's account, to end at the deadline in most cases. The kernel is asked once a thread.
    pub(crate) fn allowance() -> Duration {
        if cfg!(smolkit_portable) {
            // That poller's timers know no slack: a wait that ends early would be repeated at once.
            return Duration::ZERO;
        }
        let known = SLACK.try_with(Cell::get).unwrap_or(Some(USUAL));
        known.unwrap_or_else(|| {
            let asked = rustix::thread::current_timer_slack();
            let slack = asked.map_or(USUAL, Duration::from_nanos).min(USUAL);
            SLACK.set(Some(slack));
            slack
        })
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod imp {
    use super::Duration;

    pub(crate) fn reduce() {}

    pub(crate) fn allowance() -> Duration {
        Duration::ZERO
    }
}
