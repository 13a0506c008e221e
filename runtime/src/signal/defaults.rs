//! What a signal does while nobody listens.
//!
//! A handler that was once installed stays: signal-hook never takes its own out again. So it has to do itself what the system did by default.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::flag::register_conditional_default;

use crate::sync::{Mutex, lock};

static SIGNALS: Mutex<Vec<Attended>> = Mutex::new(Vec::new());

/// A signal that somebody has listened to.
struct Attended {
    number: i32,
    listener_count: usize,
    /// Up while nobody listens.
    is_unattended: Arc<AtomicBool>,
}

/// As long as it lives, these signals do nothing but tell their listeners.
#[derive(Debug, Default)]
pub(super) struct Attention {
    numbers: Vec<i32>,
}

impl Attention {
    pub(super) fn to(numbers: impl IntoIterator<Item = i32>) -> io::Result<Attention> {
        let mut attention = Attention::default();
        for number in numbers {
            // One by one, so that those before a failure are given back.
            attend(number)?;
            attention.numbers.push(number);
        }
        Ok(attention)
    }
}

impl Drop for Attention {
    fn drop(&mut self) {
        let mut signals = lock(&SIGNALS);
        for signal in &mut *signals {
            signal.listener_count -= self.numbers.iter().filter(|&&n| n == signal.number).count();
            signal.is_unattended.store(signal.listener_count == 0, Ordering::SeqCst);
        }
    }
}

fn attend(number: i32) -> io::Result<()> {
    let mut signals = lock(&SIGNALS);
    if let Some(signal) = signals.iter_mut().find(|signal| signal.number == number) {
        signal.listener_count += 1;
        signal.is_unattended.store(false, Ordering::SeqCst);
        return Ok(());
    }
    let is_unattended = Arc::new(AtomicBool::new(false));
    register_conditional_default(number, is_unattended.clone())?;
    signals.push(Attended { number, listener_count: 1, is_unattended });
    Ok(())
}
