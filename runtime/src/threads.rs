//! The one place where threads are started.

use std::io;

use crate::sync::thread::{Builder, JoinHandle};

/// Starts a thread; without `stack_bytes` its stack is as large as the standard library makes it.
///
/// Not generic: what the standard library needs to start a thread is then in a program once, and not once for each kind of thread (2 kB).
///
/// # Errors
///
/// When the system gives no more threads.
pub(crate) fn start(
    name: String,
    stack_bytes: Option<usize>,
    life: Box<dyn FnOnce() + Send>,
) -> io::Result<JoinHandle<()>> {
    let mut builder = Builder::new().name(name);
    if let Some(bytes) = stack_bytes {
        builder = builder.stack_size(bytes);
    }
    builder.spawn(life)
}
