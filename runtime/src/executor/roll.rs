//! Who sleeps and can be called, and who has been called and is not up yet.

use std::task::Waker;

/// A list of sleepers by their numbers. `W` is what calls one.
pub(crate) struct Roll<W = Waker> {
    asleep: Vec<(usize, W)>,
    /// Taken off the list by a caller who has not heard of them since. Mostly none or one.
    called: Vec<usize>,
}

impl<W> Roll<W> {
    pub(crate) const fn new() -> Roll<W> {
        Roll { asleep: Vec::new(), called: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.asleep.len()
    }

    /// Falls asleep.
    pub(crate) fn push(&mut self, id: usize, waker: W) {
        self.asleep.push((id, waker));
    }

    /// The one to call: who fell asleep last.
    pub(crate) fn pop(&mut self) -> Option<(usize, W)> {
        let sleeper = self.asleep.pop()?;
        self.called.push(sleeper.0);
        Some(sleeper)
    }

    /// Who could not be called sleeps on, and is the last to be called again. The waker comes back if its call has had an effect all the same: that one is up.
    pub(crate) fn put_back(&mut self, id: usize, waker: W) -> Result<(), W> {
        if !self.strike_called(id) {
            return Err(waker);
        }
        self.asleep.insert(0, (id, waker));
        Ok(())
    }

    /// Number `id` is up. What was to call it, if nobody has.
    pub(crate) fn strike(&mut self, id: usize) -> Option<W> {
        // From the end: who fell asleep last is mostly up first.
        match self.asleep.iter().rposition(|(other, _)| *other == id) {
            Some(position) => Some(self.asleep.swap_remove(position).1),
            None => {
                self.strike_called(id);
                None
            }
        }
    }

    fn strike_called(&mut self, id: usize) -> bool {
        let position = self.called.iter().rposition(|other| *other == id);
        position.map(|position| self.called.swap_remove(position)).is_some()
    }
}
