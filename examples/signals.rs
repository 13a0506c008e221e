//! Signals: a stream over a set beside work that goes on, and a request to stop, which ends it. It signals itself, with `kill`.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io;
use std::time::Duration;

use smolkit::signal::{Signal, Signals, shutdown_signal};
use smolkit::{Timer, channel, future, prelude::*};

fn main() -> io::Result<()> {
    smolkit::block_on(async {
        // Made before the first signal can come: from here on none is missed.
        let signals = Signals::new([Signal::Hangup, Signal::User1])?;
        let shutdown = shutdown_signal()?;
        let (heard, hearing) = channel::bounded(1);
        let sender = smolkit::spawn(send_signals(hearing));

        let work = async {
            let mut ticks = Timer::interval(Duration::from_millis(1));
            loop {
                ticks.next().await;
            }
        };
        let listening = listen(signals, heard);
        let stop = async {
            shutdown.await;
            println!("asked to stop: a second request would end the program at once");
            Ok(())
        };
        future::race(future::race(listening, work), stop).await?;
        sender.await
    })
}

async fn listen(mut signals: Signals, heard: channel::Sender<()>) -> io::Result<()> {
    while let Some(signal) = signals.next().await {
        match signal? {
            Signal::Hangup => println!("SIGHUP: reading the configuration again"),
            signal => println!("{signal}: saying how it goes"),
        }
        heard.send(()).await.map_err(io::Error::other)?;
    }
    Ok(())
}

async fn send_signals(heard: channel::Receiver<()>) -> io::Result<()> {
    let own = std::process::id().to_string();
    for name in ["HUP", "USR1", "TERM"] {
        smolkit::unblock({
            let own = own.clone();
            move || std::process::Command::new("kill").args(["-s", name, &own]).status()
        })
        .await?;
        if name != "TERM" {
            // `kill` waits for nothing: the signal may come a little later, and the next one before it.
            heard.recv().await.map_err(io::Error::other)?;
        }
    }
    Ok(())
}
