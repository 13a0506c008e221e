//! The executor that most tasks of a process belong to: one at a time has the rank, and its tasks find it without carrying a pointer to it.
//!
//! async-task keeps a task whose schedule function carries something alive by counting one more reference around each call, which costs two
//! instructions that lock the bus for each wake-up; a task whose function carries nothing is spared them. And it is two pointers shorter. The first
//! executor that wants the rank has it for as long as it lives: in nearly all programs that is the only one.

use std::ptr;

use crate::sync::{Ordering, StaticPtr};

/// Who has the rank; null while nobody has. On a cache line of its own: every wake-up reads it, and a neighbour that is written often would be in the way.
#[repr(align(64))]
pub(crate) struct Primary<T>(pub(crate) StaticPtr<T>);

impl<T> Primary<T> {
    /// Takes the rank for `executor`. False if another one has it.
    pub(crate) fn claim(&self, executor: *const T) -> bool {
        // Relaxed: who gets at the executor through this has one of its tasks, which was made after this and has come from thread to thread with whatever
        // orders it needs for itself.
        self.0
            .compare_exchange(
                ptr::null_mut(),
                executor.cast_mut(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// Gives the rank back. Only for who has it, when it has no tasks and will have none.
    pub(crate) fn release(&self) {
        // Relaxed: all calls of `get` on behalf of its tasks have been made before their futures were dropped, which the caller has seen.
        self.0.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// Who has the rank. For its tasks, which then see no other value than this one.
    pub(crate) fn get(&self) -> *const T {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the tasks of an executor know of it.
pub(crate) trait Ranked: Sized + 'static {
    /// The rank among all of this kind.
    fn rank() -> &'static Primary<Self>;
}

/// How a task knows its executor.
pub(crate) trait Home<T>: Copy + Send + Sync + 'static {
    /// Good for as long as there is a future that was made with this.
    fn get(self) -> *const T;
}

/// An executor without the rank.
pub(crate) struct At<T>(pub(crate) *const T);

impl<T> Clone for At<T> {
    fn clone(&self) -> At<T> {
        *self
    }
}

impl<T> Copy for At<T> {}

// SAFETY: a mere address. Who looks at what is there says why that may be done on its thread.
unsafe impl<T> Send for At<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for At<T> {}

impl<T: 'static> Home<T> for At<T> {
    #[inline]
    fn get(self) -> *const T {
        self.0
    }
}

/// The one with the rank.
#[derive(Clone, Copy)]
pub(crate) struct InPrimary;

impl<T: Ranked> Home<T> for InPrimary {
    #[inline]
    fn get(self) -> *const T {
        T::rank().get()
    }
}
