//! How late the kernel may end a sleep of this thread.

/// The kernel's default of 50 µs gathers wake-ups of threads that do not care; a worker's next deadline is somebody's timer.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn reduce() {
    const SLACK_NANOS: std::num::NonZeroU64 = std::num::NonZeroU64::new(10_000).unwrap();
    // Where it is refused, timers are as late as the system likes.
    let _ = rustix::thread::set_current_timer_slack(Some(SLACK_NANOS));
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn reduce() {}
