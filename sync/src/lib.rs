//! Channels, locks and other ways for tasks to wait for one another, on any executor.
//!
//! ```
//! use smolkit_sync::{channel, oneshot};
//!
//! # smolkit_runtime::block_on(async {
//! let (requests, inbox) = channel::bounded::<(u32, oneshot::Sender<u32>)>(8);
//! smolkit_runtime::spawn(async move {
//!     while let Ok((number, answer)) = inbox.recv().await {
//!         // Who asked may have gone.
//!         let _ = answer.send(number * 2);
//!     }
//! })
//! .detach();
//! let (sender, answer) = oneshot::channel();
//! requests.send((21, sender)).await?;
//! assert_eq!(answer.await?, 42);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | to | take |
//! |---|---|
//! | hand items from any number of tasks to any number | [`channel`] (async-channel) |
//! | the same, to one task, at half the cost or less: see there for when to take which | [`mpsc`] |
//! | hand over one value once | [`oneshot`] |
//! | let many see the latest value | [`watch`] |
//! | let many see every value | [`broadcast`] (async-broadcast) |
//! | lock, limit, meet, set once | [`lock`] (async-lock): `Mutex`, `RwLock`, `Semaphore`, `Barrier`, `OnceCell` |
//! | say that something has happened | [`Notify`]; [`Condvar`] beside a `Mutex`; [`event`] (event-listener) to build on |
//! | do so many in so long | [`RateLimiter`] |
//! | do the same work once for several callers | [`SingleFlight`] |
//!
//! Nothing here knows a runtime, a timer or a socket. What waits has a form that blocks a thread, named `..._blocking`.
//!
//! # Promises
//!
//! - `mpsc`, `oneshot`, `watch`, `Notify`, `Condvar` call no foreign code (a waker's clone, wake and drop) while they hold a lock, and a waker that panics keeps nobody else
//!   from being woken.
//! - async-channel, async-lock, async-broadcast, event-listener, and [`SingleFlight`], which stands on async-lock, call wakers under event-listener's lock. That is fine for the
//!   wakers of executors, which only put a task into a queue. A waker of your own that in its clone, its wake or its drop uses the very same object (receives from, sends
//!   to, locks, acquires or listens to it) stops its thread for ever: each of the three does, with each of them. One that panics when it is woken leaves those behind it in line
//!   asleep, and the object in disorder. A *task* that panics when its turn comes harms nobody: what it held is given back.
//! - Who waits sleeps; nothing spins.

#![deny(unsafe_code)]

mod condvar;
mod crowd;
pub mod mpsc;
#[cfg(doctest)]
mod must_not_compile;
mod notify;
pub mod oneshot;
mod primitives;
mod rate_limiter;
mod single_flight;
mod wait_queue;
mod waiters;
pub mod watch;

#[doc(inline)]
pub use async_broadcast as broadcast;
#[doc(inline)]
pub use async_channel as channel;
#[doc(inline)]
pub use async_lock as lock;
#[doc(inline)]
pub use event_listener as event;

pub use async_lock::OnceCell;

pub use self::condvar::Condvar;
pub use self::notify::{Notified, Notify};
pub use self::rate_limiter::RateLimiter;
pub use self::single_flight::SingleFlight;
