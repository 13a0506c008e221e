//! The channels, behind one interface.

use std::future::Future;

pub trait Sender: Clone + Send + Sync + 'static {
    /// False if the receiver has gone.
    fn send(&self, message: u64) -> impl Future<Output = bool> + Send;
}

pub trait Receiver: Send + 'static {
    fn recv(&mut self) -> impl Future<Output = Option<u64>> + Send;
}

/// How to make a channel.
pub trait Ends: Copy + Send + Sync + 'static {
    type Sender: Sender;
    type Receiver: Receiver;
    fn make(self, capacity: usize) -> (Self::Sender, Self::Receiver);
}

#[derive(Clone, Copy)]
pub struct Bounded<F>(pub F);

#[derive(Clone, Copy)]
pub struct Unbounded<F>(pub F);

impl<S: Sender, R: Receiver, F: Fn(usize) -> (S, R) + Copy + Send + Sync + 'static> Ends
    for Bounded<F>
{
    type Sender = S;
    type Receiver = R;
    fn make(self, capacity: usize) -> (S, R) {
        (self.0)(capacity)
    }
}

impl<S: Sender, R: Receiver, F: Fn() -> (S, R) + Copy + Send + Sync + 'static> Ends
    for Unbounded<F>
{
    type Sender = S;
    type Receiver = R;
    fn make(self, _: usize) -> (S, R) {
        (self.0)()
    }
}

impl Sender for smolkit::sync::mpsc::Sender<u64> {
    async fn send(&self, message: u64) -> bool {
        self.send(message).await.is_ok()
    }
}

impl Receiver for smolkit::sync::mpsc::Receiver<u64> {
    async fn recv(&mut self) -> Option<u64> {
        self.recv().await.ok()
    }
}

impl Sender for async_channel::Sender<u64> {
    async fn send(&self, message: u64) -> bool {
        self.send(message).await.is_ok()
    }
}

impl Receiver for async_channel::Receiver<u64> {
    async fn recv(&mut self) -> Option<u64> {
        async_channel::Receiver::recv(self).await.ok()
    }
}

impl Sender for tokio::sync::mpsc::Sender<u64> {
    async fn send(&self, message: u64) -> bool {
        self.send(message).await.is_ok()
    }
}

impl Receiver for tokio::sync::mpsc::Receiver<u64> {
    async fn recv(&mut self) -> Option<u64> {
        self.recv().await
    }
}

impl Sender for tokio::sync::mpsc::UnboundedSender<u64> {
    async fn send(&self, message: u64) -> bool {
        self.send(message).is_ok()
    }
}

impl Receiver for tokio::sync::mpsc::UnboundedReceiver<u64> {
    async fn recv(&mut self) -> Option<u64> {
        self.recv().await
    }
}

impl Sender for flume::Sender<u64> {
    async fn send(&self, message: u64) -> bool {
        self.send_async(message).await.is_ok()
    }
}

impl Receiver for flume::Receiver<u64> {
    async fn recv(&mut self) -> Option<u64> {
        self.recv_async().await.ok()
    }
}

impl Sender for kanal::AsyncSender<u64> {
    async fn send(&self, message: u64) -> bool {
        self.send(message).await.is_ok()
    }
}

impl Receiver for kanal::AsyncReceiver<u64> {
    async fn recv(&mut self) -> Option<u64> {
        kanal::AsyncReceiver::recv(self).await.ok()
    }
}

type CrossfireArray = crossfire::mpsc::Array<u64>;
type CrossfireList = crossfire::mpsc::List<u64>;

impl Sender for crossfire::MAsyncTx<CrossfireArray> {
    async fn send(&self, message: u64) -> bool {
        crossfire::AsyncTx::send(self, message).await.is_ok()
    }
}

impl Receiver for crossfire::AsyncRx<CrossfireArray> {
    async fn recv(&mut self) -> Option<u64> {
        crossfire::AsyncRx::recv(self).await.ok()
    }
}

/// Its sender never waits.
impl Sender for crossfire::MTx<CrossfireList> {
    async fn send(&self, message: u64) -> bool {
        crossfire::Tx::send(self, message).is_ok()
    }
}

impl Receiver for crossfire::AsyncRx<CrossfireList> {
    async fn recv(&mut self) -> Option<u64> {
        crossfire::AsyncRx::recv(self).await.ok()
    }
}

pub fn crossfire_unbounded() -> (crossfire::MTx<CrossfireList>, crossfire::AsyncRx<CrossfireList>) {
    crossfire::mpsc::unbounded_async()
}
