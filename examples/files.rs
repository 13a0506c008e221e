//! Files: written behind, flushed, replaced at once, read at a position; a directory listed.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use smolkit::fs::{self, File};
use smolkit::{io, prelude::*};

fn main() -> io::Result<()> {
    smolkit::block_on(async {
        let dir = std::env::temp_dir().join(format!("smolkit-files-{}", std::process::id()));
        fs::create_dir_all(&dir).await?;

        let mut log = File::create(dir.join("log")).await?;
        for i in 0..1000 {
            log.write_all(format!("line {i}\n").as_bytes()).await?;
        }
        // Only now is it known that all was written; `sync_all` waits for the disk, too.
        log.flush().await?;

        let log = File::open(dir.join("log")).await?;
        let mut part = [0; 7];
        log.read_at(&mut part, 7).await?;
        println!("at 7 stands {:?}", String::from_utf8_lossy(&part));

        fs::write_atomic(dir.join("config"), "workers = 2\n").await?;
        println!("the config says {:?}", fs::read_to_string(dir.join("config")).await?);

        let mut entries = fs::read_dir(&dir).await?;
        while let Some(entry) = entries.try_next().await? {
            println!("{:?} has {} bytes", entry.file_name(), entry.metadata().await?.len());
        }
        fs::remove_dir_all(&dir).await
    })
}
