//! A Unix socket whose server knows who calls, and hands its caller an open file.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::AsFd;

use smolkit::net::unix::{UnixListener, UnixStream};
use smolkit::{io, prelude::*};

fn main() -> io::Result<()> {
    let path = std::env::temp_dir().join(format!("smolkit-example-{}.sock", std::process::id()));
    let result = smolkit::block_on(async {
        let listener = UnixListener::bind(&path)?;
        let server = smolkit::spawn(async move {
            let stream = listener.incoming().next().await.expect("the stream never ends")?;
            println!("{:?} is there", stream.peer_cred()?);
            let file = File::open("/dev/zero")?;
            stream.send_with_fds(&[IoSlice::new(b"zeroes")], &[file.as_fd()]).await?;
            io::Result::Ok(())
        });

        let client = UnixStream::connect(&path).await?;
        let mut buffer = [0; 64];
        let received = client.recv_with_fds(&mut [IoSliceMut::new(&mut buffer)]).await?;
        server.await?;
        let text = String::from_utf8_lossy(&buffer[..received.count]);
        println!("{:?} came with {} descriptor", text, received.fds.len());
        Ok(())
    });
    // A listener leaves its file behind.
    let _ = std::fs::remove_file(path);
    result
}
