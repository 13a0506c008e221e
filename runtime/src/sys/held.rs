//! Signals that are held back on a thread (`pthread_sigmask(3)`).

use std::marker::PhantomData;
use std::mem;

/// As long as it lives, the signals wait; those that the system would give to this thread come when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    former: libc::sigset_t,
    /// The mask is the thread's.
    _not_send: PhantomData<*const ()>,
}

impl Held {
    pub(crate) fn new(numbers: impl IntoIterator<Item = libc::c_int>) -> Held {
        // SAFETY: all zeroes are a set of plain numbers; it is made an empty one.
        let mut set: libc::sigset_t = unsafe { mem::zeroed() };
        // SAFETY: the set is a variable of the right type.
        unsafe { libc::sigemptyset(&mut set) };
        for number in numbers {
            // SAFETY: the set has been initialised; a number that is no signal changes nothing.
            unsafe { libc::sigaddset(&mut set, number) };
        }
        // SAFETY: as above; it is overwritten.
        let mut former = unsafe { mem::zeroed() };
        // SAFETY: both sets live until the call returns. It cannot fail: `SIG_BLOCK` is a way to change the mask.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, &mut former) };
        Held { former, _not_send: PhantomData }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: as above, with the mask that this thread had before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.former, std::ptr::null_mut()) };
    }
}
