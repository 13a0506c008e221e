//! What the reactor asks of the operating system.
//!
//! A `Poller` has these and nothing else; one sibling file for each way to provide them:
//!
//! - `new() -> io::Result<Poller>`
//! - `register(fd, key)`: both directions, edge-triggered, once in the life of a source. Reports the present
//!   level as the first event.
//! - `rearm(fd, key)`: reports the present level once more.
//! - `deregister(fd)`: after it returns no *new* event carries the key; one that was already fetched may.
//! - `wait(&mut Events, timeout)`: a wait never ends early; `None` waits for ever; a signal ends it
//!   with no event.
//! - `notify()`: ends one `wait`, the present one or the next. From any thread.
//!
//! `TELLS_END`: whether the event of a stream's last bytes says that they are the last. Where it does not, a short read must be followed by
//! another one: the end is no event of its own.
//!
//! `Events::iter` gives `(key, Ready)` without the notifications.

#[cfg(all(any(target_os = "linux", target_os = "android"), not(smolkit_portable)))]
#[path = "epoll.rs"]
mod imp;

#[cfg(not(all(any(target_os = "linux", target_os = "android"), not(smolkit_portable))))]
#[path = "portable.rs"]
mod imp;

pub(crate) mod cores;
#[cfg(feature = "signal")]
pub(crate) mod held;
mod prefetch;
pub(crate) mod slack;

pub(crate) use imp::{Events, Poller, TELLS_END};
pub(crate) use prefetch::prefetch;

/// How many events one `wait` fetches at most.
pub(crate) const EVENTS_MAX: usize = 256;
