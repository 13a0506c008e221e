//! A server that is exchanged while clients connect: it starts itself again, leaves its listener to that, and drains. Under systemd it
//! takes the socket of its `.socket` unit: `systemd-socket-activate -l 8080 --fdname=http target/debug/examples/handover`.

#![allow(clippy::print_stdout)]

use std::env;
use std::net::SocketAddr;

use smolkit::net::handover::Sockets;
use smolkit::net::{TcpListener, TcpStream};
use smolkit::process::{Child, Command};
use smolkit::{future, io, prelude::*};

fn main() -> io::Result<()> {
    smolkit::block_on(async {
        let mut sockets = Sockets::inherited()?;
        let listener = match sockets.tcp_listener("http")? {
            Some(listener) => listener,
            None => TcpListener::bind("127.0.0.1:0").await?,
        };
        let addr = listener.local_addr()?;
        sockets.ready()?;
        if env::args().nth(1).is_some() {
            // The second process: three clients, and then it has done its work.
            for _ in 0..3 {
                answer(&listener).await?;
            }
            return Ok(());
        }

        println!("process {} listens on {addr}", std::process::id());
        let clients = smolkit::spawn(clients(addr));
        answer(&listener).await?;
        // Clients that come meanwhile are served by the old one until the new one is ready.
        let mut successor = future::or(start_successor(&listener), serve(&listener)).await?;
        drop(listener);
        clients.await?;
        println!("the successor has ended: {}", successor.status().await?);
        Ok(())
    })
}

/// Returns when it accepts.
async fn start_successor(listener: &TcpListener) -> io::Result<Child> {
    let mut sockets = Sockets::new();
    sockets.add("http", listener)?;
    let (successor, fd) = sockets.successor()?;
    let (name, value) = successor.variable(3);
    let child =
        Command::new(env::current_exe()?).arg("successor").fd(3, fd).env(name, value).spawn()?;
    successor.ready().await?;
    Ok(child)
}

async fn serve<T>(listener: &TcpListener) -> io::Result<T> {
    loop {
        answer(listener).await?;
    }
}

async fn answer(listener: &TcpListener) -> io::Result<()> {
    let (mut stream, _) = listener.accept().await?;
    stream.write_all(format!("process {}", std::process::id()).as_bytes()).await
}

/// Each one connects to the same address, until another process has answered three of them.
async fn clients(addr: SocketAddr) -> io::Result<()> {
    let own = format!("process {}", std::process::id());
    let mut others = 0;
    while others < 3 {
        let mut answer = String::new();
        TcpStream::connect(addr).await?.read_to_string(&mut answer).await?;
        println!("answered by {answer}");
        others += u32::from(answer != own);
    }
    Ok(())
}
