//! So many at once, and the others wait.

use std::sync::Arc;
use std::time::Duration;

use async_lock::{Semaphore, SemaphoreGuardArc};
use smolkit_runtime::time::timeout;

/// A permit that becomes free calls one of those who wait. If that one is not looked after any more, the call goes no further: so all look by themselves now and then.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Permits(Arc<Semaphore>);

impl Permits {
    pub(super) fn new(count: usize) -> Permits {
        Permits(Arc::new(Semaphore::new(count)))
    }

    pub(super) async fn acquire(&self) -> SemaphoreGuardArc {
        loop {
            if let Some(permit) = self.0.try_acquire_arc() {
                return permit;
            }
            if let Ok(permit) = timeout(LOOK_INTERVAL, self.0.acquire_arc()).await {
                return permit;
            }
        }
    }
}
