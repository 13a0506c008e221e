//! A connection to a server that several questions share. It has no task: whoever waits for a reply drives it, and takes along what is for the others.

// Without TLS each connection has one question, and nobody asks how it is.
#![cfg_attr(not(feature = "_tls"), allow(dead_code))]

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use futures_core::Stream;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::DnsTcpStream;
use hickory_resolver::net::tcp::TcpStream;
use hickory_resolver::net::xfer::{BufDnsStreamHandle, DnsStreamHandle};
use hickory_resolver::proto::op::{DnsRequest, Message, Query, SerialMessage};

use super::exchange::{Manner, read, request};
use super::skim::HEADER_BYTES;
use super::upstream::lock;

/// Questions that may be under way on one connection, and so messages that wait to be sent.
pub(super) const QUESTIONS_MAX: usize = 256;
/// Messages that are taken in one go, before others get their turn.
const MESSAGES_MAX: usize = 64;
/// What follows the labels of a question's name.
const ROOT_TYPE_CLASS_BYTES: usize = 5;

pub(super) struct Line<S: DnsTcpStream> {
    server: SocketAddr,
    state: Mutex<State<S>>,
    crowd: Arc<Crowd>,
    /// Of the crowd.
    waker: Waker,
}

struct State<S: DnsTcpStream> {
    stream: TcpStream<S>,
    sender: BufDnsStreamHandle,
    /// By number.
    questions: HashMap<u16, UnderWay>,
    /// Why nothing will come any more.
    end: Option<NetError>,
    /// When the server was last heard of.
    heard: Option<Instant>,
    /// Whether it has said something that somebody waited for.
    has_answered: bool,
    start: Instant,
}

/// A question under way.
struct UnderWay {
    /// Name, type and class, as they were sent.
    asked: Vec<u8>,
    is_case_random: bool,
    reply: Option<Vec<u8>>,
}

impl UnderWay {
    fn new(request: &[u8], question: &Query, manner: Manner) -> UnderWay {
        let end = HEADER_BYTES + question.name.len() + ROOT_TYPE_CLASS_BYTES;
        let asked = request.get(HEADER_BYTES..end).unwrap_or_default().to_vec();
        UnderWay { asked, is_case_random: manner.randomize_case, reply: None }
    }

    /// Whether `message` may be a reply to it, so that it is worth to be kept; `read` looks closer.
    fn is_meant_by(&self, message: &[u8]) -> bool {
        match message.get(HEADER_BYTES..HEADER_BYTES + self.asked.len()) {
            Some(answered) if self.is_case_random => *answered == self.asked,
            Some(answered) => answered.eq_ignore_ascii_case(&self.asked),
            None => false,
        }
    }
}

impl<S: DnsTcpStream> Line<S> {
    pub(super) fn new(stream: S, server: SocketAddr) -> Line<S> {
        let (stream, sender) =
            TcpStream::from_stream_with_buffer_size(stream, server, QUESTIONS_MAX);
        let state = Mutex::new(State {
            stream,
            sender,
            questions: HashMap::new(),
            end: None,
            heard: None,
            has_answered: false,
            start: Instant::now(),
        });
        let crowd = Arc::new(Crowd::default());
        let waker = Waker::from(Arc::clone(&crowd));
        Line { server, state, crowd, waker }
    }

    /// The reply to `question`. Whatever else the server says is left out.
    pub(super) async fn ask(&self, question: &Query, manner: Manner) -> Result<Message, NetError> {
        let (request, seat) = self.board(question, manner)?;
        loop {
            let bytes = poll_fn(|cx| self.poll_reply(seat.number, cx)).await?;
            // One that answers another question is no reason to give up: the deadline is.
            if let Some(message) = read(bytes, &request, question, manner)? {
                return Ok(message);
            }
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        lock(&self.state).end.is_some()
    }

    /// How long it has not been of use.
    pub(super) fn idle(&self) -> Duration {
        let state = lock(&self.state);
        state.heard.unwrap_or(state.start).elapsed()
    }

    /// Whether the server has answered a question.
    pub(super) fn was_of_use(&self) -> bool {
        lock(&self.state).has_answered
    }

    /// One that is younger has not had the time to be silent for.
    pub(super) fn was_silent_since(&self, then: Instant) -> bool {
        let state = lock(&self.state);
        state.heard.unwrap_or(state.start) < then
    }

    /// Gives `question` a number that no other one has, and a place among what is to be sent with the next look.
    fn board(
        &self,
        question: &Query,
        manner: Manner,
    ) -> Result<(DnsRequest, Seat<'_, S>), NetError> {
        self.with(|state, _| {
            loop {
                let request = request(question, manner);
                let Entry::Vacant(place) = state.questions.entry(request.id) else { continue };
                let bytes = request.to_vec()?;
                let under_way = UnderWay::new(&bytes, question, manner);
                state.sender.send(SerialMessage::new(bytes, self.server))?;
                place.insert(under_way);
                lock(&self.crowd.inner).is_stale = true;
                let seat = Seat { line: self, number: request.id };
                return Ok((request, seat));
            }
        })
    }

    fn poll_reply(&self, number: u16, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, NetError>> {
        // Before the look, so that nothing that comes after it is missed.
        let former = lock(&self.crowd.inner).wakers.insert(number, cx.waker().clone());
        drop(former);
        let mut others = Vec::new();
        let reply = self.with(|state, cx| {
            let is_stale = std::mem::take(&mut lock(&self.crowd.inner).is_stale);
            if is_stale && state.end.is_none() {
                state.drive(cx, &mut others);
            }
            state.take_reply(number)
        });
        for other in others {
            let waker = lock(&self.crowd.inner).wakers.remove(&other);
            waker.into_iter().for_each(Waker::wake);
        }
        reply
    }

    /// Does something with the stream. Wakers are called when it is done: they are foreign code, which must not run under a lock.
    fn with<T>(&self, act: impl FnOnce(&mut State<S>, &mut Context<'_>) -> T) -> T {
        let mut state = lock(&self.state);
        lock(&self.crowd.inner).is_held = true;
        let result = act(&mut state, &mut Context::from_waker(&self.waker));
        let is_due = {
            let mut crowd = lock(&self.crowd.inner);
            crowd.is_held = false;
            std::mem::take(&mut crowd.is_due)
        };
        drop(state);
        if is_due {
            self.waker.wake_by_ref();
        }
        result
    }
}

impl<S: DnsTcpStream> State<S> {
    /// Sends what is to be sent, and takes in what has come. Notes in `others` who has something to see now.
    fn drive(&mut self, cx: &mut Context<'_>, others: &mut Vec<u16>) {
        for _ in 0..MESSAGES_MAX {
            let end = match Pin::new(&mut self.stream).poll_next(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(message))) => {
                    self.heard = Some(Instant::now());
                    others.extend(self.sort_in(message.into_parts().0));
                    continue;
                }
                Poll::Ready(Some(Err(error))) => error.into(),
                Poll::Ready(None) => io::Error::from(io::ErrorKind::UnexpectedEof).into(),
            };
            self.end = Some(end);
            others.extend(self.questions.keys());
            return;
        }
        cx.waker().wake_by_ref();
    }

    /// Keeps a message for the one whom it is meant for; says who that is.
    fn sort_in(&mut self, message: Vec<u8>) -> Option<u16> {
        let number = u16::from_be_bytes(*message.first_chunk()?);
        let under_way = self.questions.get_mut(&number)?;
        if !under_way.is_meant_by(&message) || under_way.reply.is_some() {
            return None;
        }
        under_way.reply = Some(message);
        self.has_answered = true;
        Some(number)
    }

    fn take_reply(&mut self, number: u16) -> Poll<Result<Vec<u8>, NetError>> {
        let own = self.questions.get_mut(&number);
        match (own.and_then(|own| own.reply.take()), &self.end) {
            (Some(bytes), _) => Poll::Ready(Ok(bytes)),
            (None, Some(end)) => Poll::Ready(Err(end.clone())),
            (None, None) => Poll::Pending,
        }
    }
}

/// The place of a question under way.
struct Seat<'a, S: DnsTcpStream> {
    line: &'a Line<S>,
    number: u16,
}

impl<S: DnsTcpStream> Drop for Seat<'_, S> {
    fn drop(&mut self) {
        let late = lock(&self.line.state).questions.remove(&self.number);
        let waker = lock(&self.line.crowd.inner).wakers.remove(&self.number);
        drop((late, waker));
    }
}

/// Those who wait. What wakes the crowd wakes all of it: one alone might not come to look for a long time, or never.
/// The first one to come looks at the stream, and the others only at what it has left for them.
#[derive(Default)]
struct Crowd {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Of those who were not woken since they looked.
    wakers: HashMap<u16, Waker>,
    /// Whether something may have happened since somebody looked at the stream.
    is_stale: bool,
    /// Whether somebody has the stream just now.
    is_held: bool,
    /// Whether the crowd is to be woken when that is over.
    is_due: bool,
}

impl Wake for Crowd {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let wakers = {
            let mut inner = lock(&self.inner);
            inner.is_stale = true;
            if inner.is_held {
                inner.is_due = true;
                return;
            }
            std::mem::take(&mut inner.wakers)
        };
        wakers.into_values().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_io::{AsyncRead, AsyncWrite};
    use hickory_resolver::proto::rr::{Name, RecordType};

    use super::super::provider::Transport;
    use super::*;

    /// A stream that gives what the test puts in, and wakes nobody.
    struct Mute(Arc<Mutex<VecDeque<u8>>>);

    impl AsyncRead for Mute {
        fn poll_read(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            buf: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            let mut incoming = lock(&self.0);
            let count = buf.len().min(incoming.len());
            buf.iter_mut().zip(incoming.drain(..count)).for_each(|(to, from)| *to = from);
            if count == 0 { Poll::Pending } else { Poll::Ready(Ok(count)) }
        }
    }

    impl AsyncWrite for Mute {
        fn poll_write(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Goal: who drives tells the others, and an event tells all, so that nobody depends on one who does not look. Method: two questions on a stream that wakes nobody by itself.
    #[test]
    fn who_is_woken() {
        let incoming = Arc::<Mutex<VecDeque<u8>>>::default();
        let line = Line::new(Transport(Mute(incoming.clone())), ([192, 0, 2, 53], 53).into());
        let question = |name: &str| Query::query(Name::from_ascii(name).unwrap(), RecordType::A);
        let manner = Manner {
            timeout: Duration::MAX,
            edns: true,
            randomize_case: true,
            tcp_only: true,
            pads: false,
        };
        let (one, two) = (question("one.example."), question("two.example."));
        let (mut first, mut second) = (pin!(line.ask(&one, manner)), pin!(line.ask(&two, manner)));
        let woken = [Arc::<Woken>::default(), Arc::default()];
        let wakers = woken.clone().map(Waker::from);
        let mut contexts = wakers.each_ref().map(Context::from_waker);
        let count = || woken.each_ref().map(|woken| woken.0.swap(0, Ordering::SeqCst));
        assert!(first.as_mut().poll(&mut contexts[0]).is_pending());
        let number = *lock(&line.state).questions.keys().next().unwrap();
        for _ in 0..2 {
            assert!(second.as_mut().poll(&mut contexts[1]).is_pending());
            assert!(first.as_mut().poll(&mut contexts[0]).is_pending());
        }
        count();
        line.waker.wake_by_ref();
        assert_eq!(count(), [1, 1]);

        // The second one drives; it finds the reply to the first.
        assert!(first.as_mut().poll(&mut contexts[0]).is_pending());
        let mut reply = [&number.to_be_bytes()[..], &[0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
        reply.extend(&lock(&line.state).questions[&number].asked);
        lock(&incoming).extend((reply.len() as u16).to_be_bytes());
        lock(&incoming).extend(reply);
        lock(&line.crowd.inner).is_stale = true;
        assert!(second.as_mut().poll(&mut contexts[1]).is_pending());
        assert_eq!(count(), [1, 0]);
        assert!(matches!(first.as_mut().poll(&mut contexts[0]), Poll::Ready(Ok(_))));
    }
}
