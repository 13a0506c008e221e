//! Goal: hyper and Tokio work on every stream of ours that has their traits, and their buffers are written to only where bytes have come.
//! Method: hyper's own client and server of HTTP, and Tokio's copying and reading by lines, over a pair of each type; uninitialised buffers with a pattern in them,
//! which has to be there still behind what was read.

#![cfg(all(feature = "tls-ring", feature = "tokio", feature = "hyper"))]

mod tls_support;

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::future;
use hyper::body::{Body, Incoming};
use hyper::{Request, Response};
use smolkit_net::tls::{TlsAcceptor, TlsConnector, TlsStream};
use smolkit_net::unix::UnixStream;
use tls_support::{Authority, tcp_pair, within};

/// The two directions of a stream as one for hyper, as `tokio::io::join` does it for Tokio.
struct Joined<R, W>(R, W);

impl<R: hyper::rt::Read + Unpin, W: Unpin> hyper::rt::Read for Joined<R, W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<R: Unpin, W: hyper::rt::Write + Unpin> hyper::rt::Write for Joined<R, W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.1).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.1).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.1).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.1.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.1).poll_write_vectored(cx, bufs)
    }
}

async fn tls_pair<S>(client: S, server: S) -> (TlsStream<S>, TlsStream<S>)
where
    S: futures_io::AsyncRead + futures_io::AsyncWrite + Unpin,
{
    let authority = Authority::new();
    let acceptor = TlsAcceptor::builder(authority.server().identity()).build().unwrap();
    let connector = TlsConnector::builder(authority.roots()).build().unwrap();
    let ends = future::try_zip(connector.connect("localhost", client), acceptor.accept(server));
    ends.await.unwrap()
}

/// Runs `$use!(one, other)` with a pair of whole streams of every kind.
macro_rules! with_each_stream {
    ($use:ident) => {
        let (one, other) = tcp_pair().await;
        $use(one, other).await;
        let (one, other) = UnixStream::pair().unwrap();
        $use(one, other).await;
        let (one, other) = tcp_pair().await;
        let (one, other) = tls_pair(one, other).await;
        $use(one, other).await;
        let (one, other) = UnixStream::pair().unwrap();
        let (one, other) = tls_pair(one, other).await;
        $use(one, other).await;
    };
}

/// And with the halves of those that have any, owned and borrowed, put together by `$join`.
macro_rules! with_each_pair_of_halves {
    ($use:ident, $join:expr) => {
        let (one, other) = tcp_pair().await;
        let (one, other) = (one.into_split(), other.into_split());
        $use($join(one.0, one.1), $join(other.0, other.1)).await;
        let (one, other) = UnixStream::pair().unwrap();
        let (one, other) = (one.into_split(), other.into_split());
        $use($join(one.0, one.1), $join(other.0, other.1)).await;
        let (mut one, mut other) = tcp_pair().await;
        let (one, other) = (one.split(), other.split());
        $use($join(one.0, one.1), $join(other.0, other.1)).await;
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let (one, other) = (one.split(), other.split());
        $use($join(one.0, one.1), $join(other.0, other.1)).await;
    };
}

async fn text_of(mut body: Incoming) -> hyper::Result<String> {
    let mut bytes = Vec::new();
    while let Some(frame) = future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(String::from_utf8(bytes).unwrap())
}

/// Requests and answers that are longer than any buffer on their way, over one connection, which both ends end.
async fn http<C, S>(client: C, server: S)
where
    C: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    assert!(client.is_write_vectored() && server.is_write_vectored());
    let answer = |request: Request<Incoming>| async {
        let text = text_of(request.into_body()).await.unwrap();
        Ok::<_, Infallible>(Response::new(text))
    };
    let service = hyper::service::service_fn(answer);
    let served = hyper::server::conn::http1::Builder::new().serve_connection(server, service);
    let (mut sender, connected) = hyper::client::conn::http1::handshake(client).await.unwrap();
    let asks = async move {
        for len in [1, 20_000, 2_000_000] {
            let text: String = ('a'..='z').cycle().take(len).collect();
            let request = Request::post("/").header("host", "localhost").body(text.clone());
            let response = sender.send_request(request.unwrap()).await.unwrap();
            assert!(text_of(response.into_body()).await.unwrap() == text, "{len}");
        }
    };
    let (served, (connected, ())) = future::zip(served, future::zip(connected, asks)).await;
    served.unwrap();
    connected.unwrap();
}

#[test]
fn hyper_speaks_http_on_each() {
    within(async {
        with_each_stream!(http);
        with_each_pair_of_halves!(http, Joined);
    });
}

/// One end says again what it hears, by `tokio::io::copy`; the other one counts the lines.
async fn copy_and_lines<C, S>(client: C, server: S)
where
    C: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    const LINES: u32 = 50_000;
    assert!(client.is_write_vectored() && server.is_write_vectored());
    let echoes = async {
        let (mut read, mut write) = tokio::io::split(server);
        let count = tokio::io::copy(&mut read, &mut write).await.unwrap();
        write.shutdown().await.unwrap();
        count
    };
    let (read, mut write) = tokio::io::split(client);
    let writes = async {
        let mut count = 0;
        for number in 0..LINES {
            let line = format!("line {number}\n");
            // Two buffers in one call.
            let bufs = [IoSlice::new(&line.as_bytes()[..5]), IoSlice::new(&line.as_bytes()[5..])];
            let written = write.write_vectored(&bufs).await.unwrap();
            write.write_all(&line.as_bytes()[written..]).await.unwrap();
            count += line.len() as u64;
        }
        write.shutdown().await.unwrap();
        count
    };
    let reads = async {
        let mut lines = BufReader::new(read).lines();
        for number in 0..LINES {
            assert_eq!(lines.next_line().await.unwrap().unwrap(), format!("line {number}"));
        }
        assert_eq!(lines.next_line().await.unwrap(), None);
    };
    let (echoed, (written, ())) = future::zip(echoes, future::zip(writes, reads)).await;
    assert_eq!(echoed, written);
}

#[test]
fn tokio_copies_and_reads_lines_on_each() {
    within(async {
        with_each_stream!(copy_and_lines);
        with_each_pair_of_halves!(copy_and_lines, tokio::io::join);
    });
}

const PATTERN: u8 = 0xa5;
const ROOM_BYTES: usize = 4_096;

/// Reads that bring less than there is room for, and reads for which there is less room than has come.
async fn fills_only_what_it_reads<W, R>(mut writer: W, mut reader: R)
where
    W: hyper::rt::Write + Unpin,
    R: hyper::rt::Read + tokio::io::AsyncRead + Unpin,
{
    for (sent, room_len) in [(&b"short"[..], ROOM_BYTES), (b"too long", 4)] {
        for is_hyper in [true, false] {
            // So few bytes are taken in one call, of however many buffers.
            let bufs = [IoSlice::new(&sent[..2]), IoSlice::new(&sent[2..])];
            let poll = |cx: &mut Context<'_>| Pin::new(&mut writer).poll_write_vectored(cx, &bufs);
            assert_eq!(future::poll_fn(poll).await.unwrap(), sent.len());
            future::poll_fn(|cx| Pin::new(&mut writer).poll_flush(cx)).await.unwrap();
            let mut rest = sent;
            while !rest.is_empty() {
                let mut room = [MaybeUninit::new(PATTERN); ROOM_BYTES];
                let count = if is_hyper {
                    let mut buf = hyper::rt::ReadBuf::uninit(&mut room[..room_len]);
                    let poll = |cx: &mut Context<'_>| {
                        hyper::rt::Read::poll_read(Pin::new(&mut reader), cx, buf.unfilled())
                    };
                    future::poll_fn(poll).await.unwrap();
                    buf.filled().len()
                } else {
                    let mut buf = tokio::io::ReadBuf::uninit(&mut room[..room_len]);
                    let poll = |cx: &mut Context<'_>| {
                        tokio::io::AsyncRead::poll_read(Pin::new(&mut reader), cx, &mut buf)
                    };
                    future::poll_fn(poll).await.unwrap();
                    assert_eq!(buf.initialized().len(), buf.filled().len());
                    buf.filled().len()
                };
                assert!(count > 0 && count <= room_len.min(rest.len()), "{count}");
                // SAFETY: all of them were initialised, and readers only write bytes.
                let room = room.map(|byte| unsafe { byte.assume_init() });
                assert_eq!(room[..count], rest[..count]);
                let touched = room[count..].iter().filter(|&&byte| byte != PATTERN).count();
                assert_eq!(touched, 0, "bytes behind what was read, by hyper: {is_hyper}");
                rest = &rest[count..];
            }
        }
    }
}

#[test]
fn buffers_are_not_zeroed() {
    within(async {
        with_each_stream!(fills_only_what_it_reads);
        let (one, other) = tcp_pair().await;
        fills_only_what_it_reads(one.into_split().1, other.into_split().0).await;
        let (one, other) = UnixStream::pair().unwrap();
        fills_only_what_it_reads(one.into_split().1, other.into_split().0).await;
        let (mut one, mut other) = tcp_pair().await;
        fills_only_what_it_reads(one.split().1, other.split().0).await;
        let (mut one, mut other) = UnixStream::pair().unwrap();
        fills_only_what_it_reads(one.split().1, other.split().0).await;
    });
}
