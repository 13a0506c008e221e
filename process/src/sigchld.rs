//! SIGCHLD, handed on to those who wait for children: for systems without pidfds.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::thread;

use signal_hook::consts::signal::SIGCHLD;
use signal_hook::low_level::pipe;
use smolkit_sync::Notify;

static EXITS: Notify = Notify::new();
static IS_LISTENING: Mutex<bool> = Mutex::new(false);

/// Told whenever some child of this process may have ended.
///
/// Signals that come at once may be merged: who is told looks after its own child, not after a count.
pub(crate) fn exits() -> io::Result<&'static Notify> {
    let mut is_listening = IS_LISTENING.lock().unwrap_or_else(PoisonError::into_inner);
    if !*is_listening {
        listen()?;
        *is_listening = true;
    }
    Ok(&EXITS)
}

/// The same without listening to the signal, which would take its handling away from the program: for children that have ended.
#[cfg(all(target_os = "linux", not(smolkit_portable)))]
pub(crate) fn nobody() -> &'static Notify {
    &EXITS
}

fn listen() -> io::Result<()> {
    let (receiver, sender) = UnixStream::pair()?;
    // If the handler is refused, the sender is closed, which ends the thread.
    thread::Builder::new().name("smolkit-sigchld".into()).spawn(move || hand_on(receiver))?;
    pipe::register(SIGCHLD, sender)?;
    Ok(())
}

fn hand_on(mut receiver: UnixStream) {
    let mut bytes = [0; 64];
    loop {
        match receiver.read(&mut bytes) {
            Ok(0) => return,
            Ok(_) => EXITS.notify_all(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Nothing else can happen to a pair of sockets. Whoever waits looks once more.
            Err(_) => return EXITS.notify_all(),
        }
    }
}
