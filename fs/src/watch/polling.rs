//! Where nobody tells: look again and again.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use smolkit_runtime::{Timer, unblock};

use super::snapshot::Snapshot;
use super::{Target, WatchEvent, cannot_watch};

pub(super) struct Polling {
    target: Arc<Target>,
    interval: Duration,
    /// Moved to the thread that compares, and back.
    former: Snapshot,
}

impl Polling {
    pub(super) async fn start(target: Target, interval: Duration) -> io::Result<Polling> {
        let target = Arc::new(target);
        let at = target.clone();
        let begin = move || Snapshot::take(&at).map_err(|error| cannot_watch(at.dir(), error));
        let (former, errors) = unblock(begin).await?;
        match errors.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(Polling { target, interval, former }),
        }
    }

    /// Waits until there is something to tell; and whether that is the end.
    pub(super) async fn turn(&mut self) -> (VecDeque<io::Result<WatchEvent>>, bool) {
        loop {
            Timer::after(self.interval).await;
            let (target, former) = (self.target.clone(), std::mem::take(&mut self.former));
            let look = move || match Snapshot::take(&target) {
                Ok((present, errors)) => {
                    let mut items: VecDeque<_> =
                        former.compare(&present).into_iter().map(Ok).collect();
                    items.extend(errors.into_iter().map(Err));
                    (items, Some(present))
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    (VecDeque::from([Ok(WatchEvent::Gone)]), None)
                }
                Err(error) => {
                    let error = cannot_watch(target.dir(), error);
                    (VecDeque::from([Err(error)]), Some(former))
                }
            };
            let (items, present) = unblock(look).await;
            let is_over = present.is_none();
            self.former = present.unwrap_or_default();
            if !items.is_empty() {
                return (items, is_over);
            }
        }
    }
}
