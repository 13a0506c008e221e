//! A future with Tokio around each of its polls.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::TokioContext;

pin_project! {
    /// A future, or a stream, that finds Tokio's context while it is polled and dropped. Made by [`compat`](crate::compat) and [`TokioContext::run`].
    ///
    /// It is dropped as soon as it has ended. A clone of its [`TokioContext`] lives as long as it does.
    ///
    /// # Cancel safety
    ///
    /// That of the future inside.
    ///
    /// # Panics
    ///
    /// If it is polled as a future after it has ended.
    pub struct InContext<F> {
        // `None` after the end.
        #[pin]
        inner: Option<F>,
        context: TokioContext,
    }

    impl<F> PinnedDrop for InContext<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.inner.is_some() {
                // At the end of a thread there may be no context left to enter.
                let _entered = this.context.try_enter();
                this.inner.set(None);
            }
        }
    }
}

impl<F> InContext<F> {
    pub(crate) fn new(inner: F, context: TokioContext) -> InContext<F> {
        InContext { inner: Some(inner), context }
    }
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let _entered = this.context.enter();
        let inner = this.inner.as_mut().as_pin_mut().expect("polled after its end");
        let output = ready!(inner.poll(cx));
        this.inner.set(None);
        Poll::Ready(output)
    }
}

impl<S: Stream> Stream for InContext<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut this = self.project();
        let _entered = this.context.enter();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let item = ready!(inner.poll_next(cx));
        if item.is_none() {
            this.inner.set(None);
        }
        Poll::Ready(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.as_ref().map_or((0, Some(0)), Stream::size_hint)
    }
}

impl<F> fmt::Debug for InContext<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InContext")
            .field("ended", &self.inner.is_none())
            .field("context", &self.context)
            .finish()
    }
}
