//! Goal: sockets go on to a successor without a connection being lost, and to nobody else (FAULTS H24).
//! Method: this program starts itself as the child; clients connect all the time while one generation after the other takes over.

#![cfg(all(target_os = "linux", feature = "net", feature = "process"))]

mod generations;
mod support;

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use generations::{Generation, LAST, Served, start};
use smolkit::net::handover::Sockets;
use smolkit::net::unix::UnixStream;
use smolkit::net::{TcpListener, TcpStream};
use smolkit::process::Command;
use smolkit::{Timer, future, prelude::*, spawn};
use support::{child, is_child, within};

/// A successor that fails is told, and the one that runs goes on.
#[test]
fn a_successor_that_fails() {
    if is_child("gives up") {
        let mut sockets = Sockets::inherited().unwrap();
        assert!(sockets.tcp_listener("http").unwrap().is_some());
        return;
    }
    within(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut sockets = Sockets::new();
        sockets.add("http", &listener).unwrap();
        for command in [child("a_successor_that_fails", "gives up"), Command::new("false")] {
            let (successor, mut child) = start(&sockets, command);
            let error = successor.ready().await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            child.status().await.unwrap();
        }
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        assert_eq!(listener.accept().await.unwrap().1, client.local_addr().unwrap());
    });
}

/// As many as one message carries, with the longest names; and what is no message of ours.
#[test]
fn over_a_unix_socket() {
    within(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut sockets = Sockets::new();
        for i in 0..253 {
            sockets.add(&format!("{i:0>255}"), &listener).unwrap();
        }
        let (old, new) = UnixStream::pair().unwrap();
        let (successor, received) =
            future::try_zip(sockets.send(old), Sockets::receive(new)).await.unwrap();
        assert!(received.names().eq(sockets.names()));
        drop(received);
        let error = successor.ready().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);

        // All who wait are told, and whoever asks again.
        let (old, new) = UnixStream::pair().unwrap();
        let (successor, mut received) =
            future::try_zip(sockets.send(old), Sockets::receive(new)).await.unwrap();
        let both = future::try_zip(successor.ready(), successor.ready());
        let mut both = std::pin::pin!(both);
        assert!(future::poll_once(&mut both).await.is_none());
        received.ready().unwrap();
        both.await.unwrap();
        drop(received);
        successor.ready().await.unwrap();

        sockets.add("one more", &listener).unwrap();
        let (old, new) = UnixStream::pair().unwrap();
        let error = sockets.send(old).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let error = Sockets::receive(new).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);

        let endless = vec![b'x'; 1 << 20];
        for (message, kind) in [
            (&b"a:b\n"[..], io::ErrorKind::InvalidData),
            (b"\xff\n", io::ErrorKind::InvalidData),
            (&endless, io::ErrorKind::InvalidData),
            (b"half", io::ErrorKind::UnexpectedEof),
        ] {
            let (mut peer, ours) = UnixStream::pair().unwrap();
            let receiving = spawn(Sockets::receive(ours));
            // Not all is taken, if it is refused early.
            let _ = peer.write_all(message).await;
            drop(peer);
            assert_eq!(receiving.await.unwrap_err().kind(), kind);
        }
    });
}

/// Serves until the next generation is ready, and what it has accepted to the end.
async fn generation(mut generation: Generation) -> io::Result<()> {
    let listener = generation.take_over().await?;
    let served = generation.served.clone();
    let mut drain = Vec::new();
    let accepting = async {
        loop {
            let (stream, _) = listener.accept().await?;
            let served = served.clone();
            drain.push(spawn(answer(stream, served)));
        }
    };
    future::or(generation.successor(&listener), accepting).await?;
    drop(listener);
    for task in drain {
        task.await;
    }
    generation.end().await
}

async fn answer(mut stream: TcpStream, served: Arc<Served>) {
    let mut request = [0];
    if stream.read_exact(&mut request).await.is_err() {
        return;
    }
    // Some answers take longer than the hand-over.
    if request[0] % 16 == 0 {
        Timer::after(Duration::from_millis(30)).await;
    }
    let pid = std::process::id().to_string();
    // A client that does not get it fails the test.
    let _ = stream.write_all(pid.as_bytes()).await;
    served.count(request[0] == LAST);
}

#[test]
fn none_is_lost_while_one_takes_over_from_another() {
    generations::run("none_is_lost_while_one_takes_over_from_another", generation, ask);
}

/// One connection, a question and the answer: the number of the process.
fn ask(addr: SocketAddr, question: u8) -> io::Result<u32> {
    let mut stream = std::net::TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    stream.write_all(&[question])?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    answer.parse().map_err(|_| io::Error::new(io::ErrorKind::UnexpectedEof, "no answer"))
}
