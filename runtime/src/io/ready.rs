//! Futures that wait for readiness.

use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::Async;
use crate::reactor::source::{Source, Way};

/// Waits until the next try is worth it.
pub(super) struct Waiting<'a> {
    source: &'a Arc<Source>,
    way: Way,
    slot: Option<usize>,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(source: &'a Arc<Source>, way: Way) -> Waiting<'a> {
        Waiting { source, way, slot: None }
    }
}

impl Future for Waiting<'_> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.source.poll_waiting(cx, this.way, &mut this.slot)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.source.leave(self.way, self.slot);
    }
}

/// Waits for a fresh report of the kernel. `H` holds the `Async`, borrowed or shared.
struct Level<H: Borrow<Async<T>>, T> {
    holder: H,
    way: Way,
    armed: Option<usize>,
    slot: Option<usize>,
    _io: PhantomData<fn() -> T>,
}

impl<H: Borrow<Async<T>>, T> Level<H, T> {
    fn new(holder: H, way: Way) -> Level<H, T> {
        Level { holder, way, armed: None, slot: None, _io: PhantomData }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Level { holder, way, armed, slot, .. } = self;
        (*holder).borrow().source.poll_level_waiting(cx, *way, armed, slot)
    }
}

impl<H: Borrow<Async<T>>, T> Drop for Level<H, T> {
    fn drop(&mut self) {
        self.holder.borrow().source.leave(self.way, self.slot);
    }
}

impl<H: Borrow<Async<T>>, T> Unpin for Level<H, T> {}

macro_rules! named {
    ($(#[$doc:meta])* $name:ident<$($lifetime:lifetime,)? T>, $holder:ty, $way:expr) => {
        $(#[$doc])*
        #[must_use = "futures do nothing unless you `.await` or poll them"]
        pub struct $name<$($lifetime,)? T>(Level<$holder, T>);

        impl<$($lifetime,)? T> $name<$($lifetime,)? T> {
            pub(super) fn new(io: $holder) -> Self {
                $name(Level::new(io, $way))
            }
        }

        impl<$($lifetime,)? T> Future for $name<$($lifetime,)? T> {
            type Output = io::Result<()>;

            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.0.poll(cx)
            }
        }

        impl<$($lifetime,)? T> fmt::Debug for $name<$($lifetime,)? T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

named! {
    /// The future that [`Async::readable`] returns.
    Readable<'a, T>, &'a Async<T>, Way::Read
}

named! {
    /// The future that [`Async::readable_owned`] returns.
    ReadableOwned<T>, Arc<Async<T>>, Way::Read
}

named! {
    /// The future that [`Async::writable`] returns.
    Writable<'a, T>, &'a Async<T>, Way::Write
}

named! {
    /// The future that [`Async::writable_owned`] returns.
    WritableOwned<T>, Arc<Async<T>>, Way::Write
}
