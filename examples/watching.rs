//! A configuration that is read again whenever it changes.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use smolkit::fs::{self, TempDir, WatchEvent};
use smolkit::{io, prelude::*};

fn main() -> io::Result<()> {
    smolkit::block_on(async {
        let dir = TempDir::new().await?;
        let config = dir.path().join("config");
        fs::write(&config, "workers = 1\n").await?;

        // From here on, nothing is missed.
        let mut events = fs::watch(&config).await?;
        println!("at first: {:?}", fs::read_to_string(&config).await?);

        let path = config.clone();
        let editor = smolkit::spawn(async move {
            for workers in 2..=4 {
                // All at once: nobody ever reads a half of it.
                fs::write_atomic(&path, format!("workers = {workers}\n")).await?;
            }
            fs::remove_file(&path).await
        });

        while let Some(event) = events.next().await {
            match event? {
                // `Closed`, not `Modified`: whoever writes without `write_atomic` may be in the middle of it.
                WatchEvent::Created(_) | WatchEvent::Closed(_) | WatchEvent::Overflow => {
                    match fs::read_to_string(&config).await {
                        Ok(text) => println!("now: {text:?}"),
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(error),
                    }
                }
                WatchEvent::Removed(_) | WatchEvent::Gone => break,
                _ => {}
            }
        }
        editor.await?;
        dir.close().await
    })
}
