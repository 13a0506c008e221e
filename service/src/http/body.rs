//! Bodies of requests and responses, watched for clients that neither give nor take, and for panics.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::Version;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::activity::{Activity, InFlight};
use super::clock;
use super::patience::Patience;

/// The body of a request for the router. One without content costs no allocation.
pub(super) fn request_body(incoming: Incoming, activity: &Arc<Activity>) -> Body {
    if incoming.is_end_stream() {
        return Body::empty();
    }
    Body::new(RequestBody {
        incoming,
        activity: activity.clone(),
        patience: Patience::default(),
        is_over: false,
    })
}

struct RequestBody {
    incoming: Incoming,
    activity: Arc<Activity>,
    patience: Patience,
    is_over: bool,
}

impl RequestBody {
    fn settle(&mut self, bytes: usize) {
        if self.patience.is_waiting() {
            self.activity.settled();
        }
        self.patience.moved(clock::now, bytes);
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let result = Pin::new(&mut self.incoming).poll_frame(cx);
        match &result {
            Poll::Pending => {
                let stall = self.activity.stall();
                if let Some(deadline) = self.patience.wait(clock::now(), stall) {
                    self.activity.owes(deadline);
                }
            }
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.settle(bytes);
            }
            Poll::Ready(None | Some(Err(_))) => {
                self.settle(0);
                self.is_over = true;
            }
        }
        result
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if self.patience.is_waiting() {
            self.activity.settled();
        }
        if !self.is_over && !self.incoming.is_end_stream() {
            self.activity.leaves_body_unread();
        }
    }
}

/// HTTP/2 takes a chunk of any size at once and sends it as the client's window allows; in slices, we see whether it does.
const SLICE_BYTES: usize = 64 * 1024;

/// The body of a response, and the request that it ends.
pub(super) struct ResponseBody {
    body: Body,
    in_flight: InFlight,
    /// The rest of a chunk that is handed out in slices.
    held: Bytes,
    slice_bytes_max: usize,
    /// hyper has a frame and has not asked for the next one: it waits for the client to take it.
    is_owed: bool,
}

impl ResponseBody {
    pub(super) fn new(body: Body, in_flight: InFlight, version: Version) -> ResponseBody {
        let slice_bytes_max = if version == Version::HTTP_2 { SLICE_BYTES } else { usize::MAX };
        ResponseBody { body, in_flight, held: Bytes::new(), slice_bytes_max, is_owed: false }
    }

    fn sliced(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_data() {
            Ok(mut data) if data.len() > self.slice_bytes_max => {
                self.held = data.split_off(self.slice_bytes_max);
                Frame::data(data)
            }
            Ok(data) => Frame::data(data),
            Err(trailers) => trailers,
        }
    }

    fn settle(&mut self) {
        if std::mem::take(&mut self.is_owed) {
            self.in_flight.activity.settled();
        }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        this.settle();
        let result = if this.held.is_empty() {
            let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut this.body).poll_frame(cx)));
            let Ok(result) = polled else {
                this.in_flight.activity.hub().note_panic("the body of a response");
                let error = io::Error::other("the body of the response panicked");
                return Poll::Ready(Some(Err(error.into())));
            };
            result
        } else {
            Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut this.held)))))
        };
        match result {
            Poll::Ready(Some(Ok(frame))) => {
                let frame = this.sliced(frame);
                if !this.is_end_stream() {
                    let activity = &this.in_flight.activity;
                    activity.owes(clock::after(clock::now(), activity.stall()));
                    this.is_owed = true;
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let held = self.held.len() as u64;
        if held > 0 {
            if let Some(upper) = hint.upper() {
                hint.set_upper(upper + held);
            }
            hint.set_lower(hint.lower() + held);
        }
        hint
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.settle();
    }
}
