//! A pseudo-terminal: a shell that believes that somebody sits before it, whose window changes its size, and a descriptor besides.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io;
use std::os::unix::net::UnixStream;

use smolkit::prelude::*;
use smolkit::process::{Command, Pty, WindowSize};

/// Says its size now and when that changes, and then what it is told. Shells look at their traps between two commands: `read` might wait beside a signal that came just before it.
const SCRIPT: &str = "
    stty -echo
    trap 'stty size; changed=yes' WINCH
    tty > /dev/null && echo a terminal of && stty size
    until test $changed; do sleep 0.01; done
    read line
    echo told: $line
    cat <&5
";

fn main() -> io::Result<()> {
    smolkit::block_on(async {
        let (besides, mut writer) = UnixStream::pair()?;
        io::Write::write_all(&mut writer, b"and by another way\n")?;
        drop(writer);

        let mut pty = Pty::open(WindowSize { rows: 24, columns: 80 })?;
        let mut shell = Command::new("sh");
        // Nothing but the terminal and descriptor 5 reaches it.
        shell.args(["-c", SCRIPT]).fd(5, besides).close_fds(true);
        let mut child = pty.spawn(&mut shell)?;

        let mut lines = smolkit::io::BufReader::new(&pty).lines();
        let mut say = async |count| {
            for _ in 0..count {
                let line = lines.next().await.ok_or(io::ErrorKind::UnexpectedEof)??;
                println!("the shell says: {line}");
            }
            io::Result::Ok(())
        };
        say(2).await?;
        pty.set_window_size(WindowSize { rows: 50, columns: 132 })?;
        say(1).await?;
        (&pty).write_all(b"hello\n").await?;
        say(2).await?;
        println!("{}", child.status().await?);
        Ok(())
    })
}
