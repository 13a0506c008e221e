//! Calling a runner that sleeps, whose waker may be anybody's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// Gives the waker back if it has panicked: the runner sleeps on. It is nothing that whoever pushes a task could answer for; the panic hook has reported it.
pub(super) fn call(waker: Waker) -> Result<(), Waker> {
    if catch_unwind(AssertUnwindSafe(|| waker.wake_by_ref())).is_err() {
        return Err(waker);
    }
    // So it is with its destructor, but for the runner, who has been called.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(waker)));
    Ok(())
}
