//! Calls that a signal has interrupted.

use std::io::{ErrorKind, Result};

/// Calls until no signal comes between. On network filesystems one may (`signal(7)`).
pub(crate) fn until_done<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
