//! The libraries, behind one interface for each way to wait.

use std::future::Future;

pub trait Oneshot: Copy + Send + Sync + 'static {
    type Sender: Send + 'static;
    type Receiver: Send + 'static;
    fn channel(self) -> (Self::Sender, Self::Receiver);
    fn send(sender: Self::Sender, value: u64);
    fn receive(receiver: Self::Receiver) -> impl Future<Output = u64> + Send;
}

pub trait Notify: Default + Send + Sync + 'static {
    fn tell_one(&self);
    fn tell_all(&self);
    /// The call takes the place, not the first poll.
    fn told(&self) -> impl Future<Output = ()> + Send;
}

pub trait Watch: Copy + Send + Sync + 'static {
    type Sender: Send + 'static;
    type Receiver: Clone + Send + 'static;
    fn channel(self) -> (Self::Sender, Self::Receiver);
    fn set(sender: &Self::Sender, value: u64);
    /// The next value that has not been seen.
    fn next(receiver: &mut Self::Receiver) -> impl Future<Output = u64> + Send;
}

pub trait Broadcast: Copy + Send + Sync + 'static {
    type Sender: Send + Sync + 'static;
    type Receiver: Send + 'static;
    /// A channel with so many receivers.
    fn channel(self, capacity: usize, receivers: usize) -> (Self::Sender, Vec<Self::Receiver>);
    fn send(sender: &Self::Sender, value: u64) -> impl Future<Output = ()> + Send;
    fn receive(receiver: &mut Self::Receiver) -> impl Future<Output = u64> + Send;
}

#[derive(Clone, Copy)]
pub struct Smolkit;

#[derive(Clone, Copy)]
pub struct Tokio;

#[derive(Clone, Copy)]
pub struct AsyncBroadcast;

impl Oneshot for Smolkit {
    type Sender = smolkit::sync::oneshot::Sender<u64>;
    type Receiver = smolkit::sync::oneshot::Receiver<u64>;
    fn channel(self) -> (Self::Sender, Self::Receiver) {
        smolkit::sync::oneshot::channel()
    }
    fn send(sender: Self::Sender, value: u64) {
        sender.send(value).expect("the receiver is there");
    }
    async fn receive(receiver: Self::Receiver) -> u64 {
        receiver.await.expect("it was sent")
    }
}

impl Oneshot for Tokio {
    type Sender = tokio::sync::oneshot::Sender<u64>;
    type Receiver = tokio::sync::oneshot::Receiver<u64>;
    fn channel(self) -> (Self::Sender, Self::Receiver) {
        tokio::sync::oneshot::channel()
    }
    fn send(sender: Self::Sender, value: u64) {
        sender.send(value).expect("the receiver is there");
    }
    async fn receive(receiver: Self::Receiver) -> u64 {
        receiver.await.expect("it was sent")
    }
}

impl Notify for smolkit::sync::Notify {
    fn tell_one(&self) {
        self.notify_one();
    }
    fn tell_all(&self) {
        self.notify_all();
    }
    fn told(&self) -> impl Future<Output = ()> + Send {
        self.notified()
    }
}

impl Notify for tokio::sync::Notify {
    fn tell_one(&self) {
        self.notify_one();
    }
    fn tell_all(&self) {
        self.notify_waiters();
    }
    fn told(&self) -> impl Future<Output = ()> + Send {
        self.notified()
    }
}

impl Watch for Smolkit {
    type Sender = smolkit::sync::watch::Sender<u64>;
    type Receiver = smolkit::sync::watch::Receiver<u64>;
    fn channel(self) -> (Self::Sender, Self::Receiver) {
        smolkit::sync::watch::channel(0)
    }
    fn set(sender: &Self::Sender, value: u64) {
        sender.send(value).expect("somebody watches");
    }
    async fn next(receiver: &mut Self::Receiver) -> u64 {
        receiver.changed().await.expect("the sender is there");
        *receiver.borrow_and_update()
    }
}

impl Watch for Tokio {
    type Sender = tokio::sync::watch::Sender<u64>;
    type Receiver = tokio::sync::watch::Receiver<u64>;
    fn channel(self) -> (Self::Sender, Self::Receiver) {
        tokio::sync::watch::channel(0)
    }
    fn set(sender: &Self::Sender, value: u64) {
        sender.send(value).expect("somebody watches");
    }
    async fn next(receiver: &mut Self::Receiver) -> u64 {
        receiver.changed().await.expect("the sender is there");
        *receiver.borrow_and_update()
    }
}

impl Broadcast for AsyncBroadcast {
    type Sender = smolkit::sync::broadcast::Sender<u64>;
    type Receiver = smolkit::sync::broadcast::Receiver<u64>;
    fn channel(self, capacity: usize, receivers: usize) -> (Self::Sender, Vec<Self::Receiver>) {
        let (sender, receiver) = smolkit::sync::broadcast::broadcast(capacity);
        (sender, vec![receiver; receivers])
    }
    async fn send(sender: &Self::Sender, value: u64) {
        sender.broadcast_direct(value).await.expect("the receivers are there");
    }
    async fn receive(receiver: &mut Self::Receiver) -> u64 {
        receiver.recv_direct().await.expect("the sender is there")
    }
}

/// It never waits for room: who is slow misses items, which the receiver would say.
impl Broadcast for Tokio {
    type Sender = tokio::sync::broadcast::Sender<u64>;
    type Receiver = tokio::sync::broadcast::Receiver<u64>;
    fn channel(self, capacity: usize, receivers: usize) -> (Self::Sender, Vec<Self::Receiver>) {
        let (sender, receiver) = tokio::sync::broadcast::channel(capacity);
        let others = (1..receivers).map(|_| sender.subscribe());
        let receivers = others.chain([receiver]).collect();
        (sender, receivers)
    }
    async fn send(sender: &Self::Sender, value: u64) {
        sender.send(value).expect("the receivers are there");
    }
    async fn receive(receiver: &mut Self::Receiver) -> u64 {
        receiver.recv().await.expect("the sender is there, and nothing was missed")
    }
}
