//! Directory trees: a temporary directory, filled, copied, walked through, and removed again.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use smolkit::fs::{self, TempDir};
use smolkit::{io, prelude::*};

fn main() -> io::Result<()> {
    smolkit::block_on(async {
        let dir = TempDir::new().await?;
        let (site, copy) = (dir.path().join("site"), dir.path().join("copy"));
        for page in ["index", "about/us", "about/you"] {
            let path = site.join(page);
            fs::create_dir_all(path.parent().expect("it has one")).await?;
            fs::write(path, format!("<h1>{page}</h1>")).await?;
        }

        // Eight files at once; what fails is told with its path, and keeps nothing else from being copied.
        match fs::copy_dir(&site, &copy).await {
            Ok(copied) => println!("{} files, {} bytes", copied.files, copied.bytes),
            Err(error) => error.errors().iter().for_each(|error| eprintln!("{error}")),
        }

        // Sorted, a directory before what is in it.
        let mut walk = fs::walk(&copy);
        while let Some(entry) = walk.next().await {
            match entry {
                Ok(entry) => {
                    let indent = "  ".repeat(entry.depth());
                    println!("{indent}{}", entry.file_name().to_string_lossy());
                }
                Err(error) => eprintln!("{error}"),
            }
        }

        // A drop would do it in the background; this waits, and says whether it succeeded.
        dir.close().await
    })
}
