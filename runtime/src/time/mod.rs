//! Sleeping, timeouts and intervals.
//!
//! ```
//! use std::time::Duration;
//! use smolkit_runtime::time::{interval, sleep, timeout};
//!
//! smolkit_runtime::block_on(async {
//!     let answer = timeout(Duration::from_secs(1), async {
//!         sleep(Duration::from_millis(1)).await;
//!         42
//!     });
//!     assert_eq!(answer.await, Ok(42));
//!
//!     let mut ticks = interval(Duration::from_millis(1));
//!     for _ in 0..3 {
//!         ticks.tick().await;
//!     }
//! });
//! ```
//!
//! - [`sleep`], [`sleep_until`]: wait for a time.
//! - [`timeout`], [`timeout_at`]: give up waiting for something else.
//! - [`interval`], [`interval_at`]: wait for regular ticks, with a choice of what happens to those that were missed.
//!
//! The names and their meaning are those of `tokio::time`, with the standard library's [`Duration`] and [`Instant`]. [`Timer`](crate::Timer) is
//! smol's. All of it works on any executor.
//!
//! # Time
//!
//! Deadlines are kept to the nanosecond, and nothing ever ends early. How late it ends is the system's business: Linux lets a thread that sleeps oversleep by 50 µs
//! so that it can wake several at once (`PR_SET_TIMERSLACK` in prctl(2); workers, and the programs that they start, have 10 µs), which is allowed for by asking
//! for a wake-up that much earlier. Where 64 timers or more wait they fire in steps of 50 µs. A worker in the middle of a task
//! looks at its timers when the task gives way.
//!
//! The clock is that of [`Instant`], which is monotonic: it does not step when somebody sets the time of day. While the machine is suspended it stands
//! still (`CLOCK_MONOTONIC` on Linux, `CLOCK_UPTIME_RAW` on macOS), so that an hour of sleep is an hour of the machine being up.
//! It goes on while the process is stopped (SIGSTOP, a debugger): whatever came due meanwhile ends when the process continues. Of an interval's ticks
//! those that were missed are then treated as its [`MissedTickBehavior`] says.
//!
//! # Limits
//!
//! A deadline that overflows the clock, that of `sleep(Duration::MAX)` for one, never comes; nor does one that is more than 584 years (2^64 ns) ahead.
//!
//! A timer takes about 50 bytes in its worker's queue, from the first poll that waits to the end of the wait. Entering and cancelling one takes the
//! same time however many there are.

mod elapsed;
mod interval;
mod sleep;
mod timeout;
pub(crate) mod wait;

pub use std::time::{Duration, Instant};

pub use self::elapsed::Elapsed;
pub use self::interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use self::sleep::{Sleep, sleep, sleep_until};
pub use self::timeout::{Timeout, timeout, timeout_at};
