//! Goal: `Async<T>` and `Unblock<T>` behave as those of smol, errors included.
//! Method: the same script runs on smolkit and on smol; what it wrote down must be equal.

// Which errors there are, and their numbers, is the system's business.
#![cfg(target_os = "linux")]

/// The scripts, for one of the two.
macro_rules! scripts {
    ($name:ident) => {
        mod $name {
            use ::$name as smol;
            include!("same/scripts.rs");
        }
    };
}

scripts!(smolkit);
scripts!(smol);

macro_rules! same {
    ($($script:ident),* $(,)?) => {
        $(
            #[test]
            fn $script() {
                let ours = within(|| smolkit::$script());
                let theirs = within(|| smol::$script());
                assert_eq!(ours, theirs);
                assert!(!ours.is_empty(), "a script that says nothing proves nothing");
            }
        )*
    };
}

same! {
    addresses_that_are_taken,
    connecting_to_nobody,
    closed_peers,
    what_cannot_be_polled,
    readiness_level,
    full_buffers,
    half_closed,
    nothing_wanted,
    datagrams,
    unix_datagrams,
    bad_paths,
    abstract_names,
    mode_of_the_descriptor,
    registered_twice,
    pipes_and_processes,
    mutable_operations,
    peeking,
    incoming_connections,
    operations_that_fail,
    unblocked_files,
    unblocked_errors,
}

/// Runs a script on a thread of its own, with a deadline.
fn within<T: Send + 'static>(script: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let _ = sender.send(script());
    });
    match receiver.recv_timeout(std::time::Duration::from_secs(60)) {
        Ok(output) => output,
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("a script hangs"),
        Err(_) => std::panic::resume_unwind(thread.join().expect_err("it has sent nothing")),
    }
}

/// Where ours is meant to differ: smol fails with `NotConnected` here, ours waits until there is room.
#[test]
fn a_full_queue_of_a_unix_listener() {
    use ::smolkit::{Async, Timer, block_on, future};
    use std::os::unix::net::{UnixListener, UnixStream};

    within(|| {
        let path = std::env::temp_dir().join(format!("smolkit-full-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        block_on(async {
            let listener = Async::<UnixListener>::bind(&path).unwrap();
            // A short one: a process may not have as many descriptors as the system's own has places.
            rustix::net::listen(&listener, 4).unwrap();
            let mut waiting = Vec::new();
            let mut late = loop {
                let mut connecting = Box::pin(Async::<UnixStream>::connect(path.clone()));
                match future::poll_once(&mut connecting).await {
                    Some(stream) => waiting.push(stream.unwrap()),
                    None => break connecting,
                }
                assert!(waiting.len() < 1_000, "a queue without end");
            };
            let timeout = std::time::Duration::from_millis(5);
            assert!(
                future::or(async { Some((&mut late).await) }, async {
                    Timer::after(timeout).await;
                    None
                })
                .await
                .is_none()
            );
            listener.accept().await.unwrap();
            late.await.unwrap();
        });
        std::fs::remove_file(&path).unwrap();
    });
}

/// The same for a datagram to a receiver whose queue is full of others' datagrams: smol asks in a loop, ours now and then.
#[test]
fn a_full_queue_of_a_unix_datagram_socket() {
    use ::smolkit::{Async, block_on, future};
    use std::os::unix::net::UnixDatagram;

    within(|| {
        let path = std::env::temp_dir().join(format!("smolkit-dgram-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        block_on(async {
            let receiver = Async::<UnixDatagram>::bind(&path).unwrap();
            // The buffer of one may be full before the queue is: that is full when another cannot send anything at all.
            loop {
                let one = UnixDatagram::unbound().unwrap();
                one.set_nonblocking(true).unwrap();
                if let Err(error) = one.send_to(b"crowd", &path) {
                    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                    break;
                }
                while one.send_to(b"crowd", &path).is_ok() {}
            }
            let sender = Async::<UnixDatagram>::unbound().unwrap();
            let mut sending = Box::pin(sender.send_to(b"late", &path));
            assert!(future::poll_once(&mut sending).await.is_none());
            let receiving = async {
                let mut buffer = [0; 8];
                loop {
                    let count = receiver.recv(&mut buffer).await.unwrap();
                    if &buffer[..count] == b"late" {
                        return;
                    }
                }
            };
            assert_eq!(future::zip(sending, receiving).await.0.unwrap(), 4);
        });
        std::fs::remove_file(&path).unwrap();
    });
}
