//! hyper's HTTP/2 client on our runtime.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body::Body as _;
use hyper::client::conn::http2;
use smolkit_net::TcpStream;

#[derive(Clone)]
struct Spawn;

impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for Spawn {
    fn execute(&self, future: F) {
        smolkit_runtime::spawn(future).detach();
    }
}

/// One connection; clones share it.
#[derive(Clone)]
pub struct Http2Client {
    sender: http2::SendRequest<Body>,
}

impl Http2Client {
    pub async fn connect(addr: SocketAddr) -> hyper::Result<Http2Client> {
        let stream = TcpStream::connect(addr).await.expect("a connection");
        let (sender, connection) = http2::handshake(Spawn, stream).await?;
        smolkit_runtime::spawn(connection).detach();
        Ok(Http2Client { sender })
    }

    /// Status and length of the body. `Err` with true: a part of the response had come.
    pub async fn get(&mut self, path: &str) -> Result<(StatusCode, usize), (bool, hyper::Error)> {
        let request = Request::get(format!("http://test{path}")).body(Body::empty());
        let request = request.expect("a request");
        self.sender.ready().await.map_err(|error| (false, error))?;
        let response = self.sender.send_request(request).await.map_err(|error| (false, error))?;
        let status = response.status();
        let mut body = response.into_body();
        let mut length = 0;
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let frame = frame.map_err(|error| (true, error))?;
            length += frame.data_ref().map_or(0, |data| data.len());
        }
        Ok((status, length))
    }
}
