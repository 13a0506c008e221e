//! How long a client may let us wait for data: a stall deadline that a dribble does not extend.

use super::clock::{self, Ticks};

/// What has to move before a wait begins afresh. One byte now and then is no progress.
const PROGRESS_BYTES_MIN: usize = 1024;

/// The waits for one direction of one body or socket. Waits add up until [`PROGRESS_BYTES_MIN`] have moved.
#[derive(Debug, Default)]
pub(super) struct Patience {
    waiting_since: Option<Ticks>,
    waited: Ticks,
    moved_bytes: usize,
}

impl Patience {
    /// The client keeps us waiting. Returns the deadline if this wait is a new one.
    pub(super) fn wait(&mut self, now: Ticks, stall: Ticks) -> Option<Ticks> {
        if self.waiting_since.is_some() {
            return None;
        }
        self.waiting_since = Some(now);
        Some(clock::after(now, stall.saturating_sub(self.waited)))
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.waiting_since.is_some()
    }

    /// The wait has ended, and `bytes` have moved.
    pub(super) fn moved(&mut self, now: impl FnOnce() -> Ticks, bytes: usize) {
        self.moved_bytes = self.moved_bytes.saturating_add(bytes);
        if self.moved_bytes >= PROGRESS_BYTES_MIN {
            *self = Patience::default();
        } else if let Some(since) = self.waiting_since.take() {
            self.waited = self.waited.saturating_add(now().saturating_sub(since));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dribble_does_not_extend_the_deadline() {
        let mut patience = Patience::default();
        let first = patience.wait(1000, 500);
        for now in [1100, 1200, 1300] {
            patience.moved(|| now, 1);
            assert_eq!(patience.wait(now, 500), first);
        }
    }

    #[test]
    fn data_extends_it() {
        let mut patience = Patience::default();
        let first = patience.wait(1000, 500);
        assert_eq!(patience.wait(1100, 500), None);
        patience.moved(|| 1200, PROGRESS_BYTES_MIN);
        assert!(!patience.is_waiting());
        assert_eq!(patience.wait(1200, 500), first.map(|deadline| deadline + 200));
    }

    #[test]
    fn only_waits_count() {
        let mut patience = Patience::default();
        let first = patience.wait(1000, 500);
        patience.moved(|| 1100, 1);
        assert_eq!(patience.wait(9100, 500), first.map(|deadline| deadline + 8000));
    }
}
