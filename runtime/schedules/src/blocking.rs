//! What the builder needs of the blocking pool, which is not here.

use std::time::Duration;

pub(crate) const THREADS_MAX: usize = 1;

pub(crate) fn set_some_limits(_threads_max: Option<usize>, _keep_alive: Option<Duration>) {}
