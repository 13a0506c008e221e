//! What the kernel can do without waiting.
//!
//! `None` means: it would have to wait, or does not say; ask again on a thread that may block.

use std::future::poll_fn;
use std::task::{Context, Poll};

use smolkit_runtime::task::poll_within_budget;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) use self::linux::{
    file_metadata, is_stream, metadata, open, open_briefly, read, read_at,
};

#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
pub(crate) use self::other::{
    file_metadata, is_stream, metadata, open, open_briefly, read, read_at,
};

/// Sees to it that who always finds something to do lets others have their turn.
#[derive(Default)]
pub(crate) struct Turns {
    is_put_off: bool,
}

/// What has such turns.
pub(crate) trait TakeTurns: Sized {
    fn turns(&mut self) -> &mut Turns;

    /// Polls what copies so many bytes, or looks up one thing, unless the task has done enough in this turn. What has to wait costs it nothing.
    ///
    /// Nothing is put off twice in a row: what else the task does may leave nothing in any of its turns.
    fn poll_in_turn<T>(
        &mut self,
        cx: &mut Context<'_>,
        bytes: usize,
        operation: impl FnOnce(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if std::mem::take(&mut self.turns().is_put_off) {
            return operation(self, cx);
        }
        let mut has_run = false;
        let polled = poll_within_budget(cx, cost(bytes), |cx| {
            has_run = true;
            operation(self, cx)
        });
        self.turns().is_put_off = !has_run;
        polled
    }
}

impl TakeTurns for Turns {
    fn turns(&mut self) -> &mut Turns {
        self
    }
}

/// Waits for the task's next turn if it has done enough in this one, before so many bytes are copied or one thing is looked up.
pub(crate) async fn turn(bytes: usize) {
    let mut turns = Turns::default();
    poll_fn(|cx| turns.poll_in_turn(cx, bytes, |_, _| Poll::Ready(()))).await;
}

fn cost(bytes: usize) -> u32 {
    let pieces = bytes.min(BYTES_MAX) / TURN_BYTES;
    1 + u32::try_from(pieces).expect("BYTES_MAX has few of them")
}

/// The kernel copies so much in the time of an operation on a socket.
const TURN_BYTES: usize = 16 << 10;
/// More than this is not copied at once: a worker has other things to do.
pub(crate) const BYTES_MAX: usize = 1 << 20;
