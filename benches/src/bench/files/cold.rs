//! Who waits for a disk: how late does a task wake up while another one reads what is not in the page cache?

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::kinds::{LARGE_BYTES, large};
use super::systems::{Files, Work};

const SLEEP: Duration = Duration::from_millis(1);
/// Large enough to make a read wait for the disk now and then, small enough to leave the worker in between.
const PIECE_BYTES: usize = 64 << 10;
/// So short a run says nothing about the 99th percentile.
const SLEEPS_MIN: usize = 200;

pub struct Watch {
    pub folder: PathBuf,
    pub passes: u64,
}

impl Work for Watch {
    async fn run<F: Files>(self, files: F) -> io::Result<()> {
        let path = large(&self.folder);
        let is_over = Arc::new(AtomicBool::new(false));
        let sleeper = files.spawn(watch(files.clone(), is_over.clone()));
        let mut passes = 0;
        // At least as long as the sleeper needs.
        let start = Instant::now();
        while passes < self.passes || start.elapsed() < SLEEP * 2 * SLEEPS_MIN as u32 {
            forget(path.clone()).await?;
            let bytes = files.read_by(&path, PIECE_BYTES).await?;
            if bytes != LARGE_BYTES as u64 {
                return Err(io::Error::other(format!("{bytes} bytes instead of {LARGE_BYTES}")));
            }
            passes += 1;
        }
        is_over.store(true, Ordering::Relaxed);
        let mut late = sleeper.await;
        if late.len() < 10 {
            return Err(io::Error::other(format!("the sleeper woke up {} times", late.len())));
        }
        late.sort_unstable();
        let micros = |share: f64| {
            let index = (late.len() as f64 * share) as usize;
            late[index.min(late.len() - 1)].as_secs_f64() * 1e6
        };
        println!("figures {:.1} {:.1} {:.1}", micros(0.5), micros(0.99), micros(1.0));
        Ok(())
    }
}

async fn watch<F: Files>(files: F, is_over: Arc<AtomicBool>) -> Vec<Duration> {
    let mut late = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let start = Instant::now();
        files.sleep(SLEEP).await;
        late.push(start.elapsed().saturating_sub(SLEEP));
    }
    late
}

/// Drops the file from the page cache. That takes a while, so a thread of its own does it.
async fn forget(path: PathBuf) -> io::Result<()> {
    let (done, wait) = async_channel::bounded(1);
    thread::spawn(move || {
        let forget = || {
            let file = File::open(path)?;
            let advice = libc::POSIX_FADV_DONTNEED;
            // SAFETY: a plain system call.
            match unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, advice) } {
                0 => Ok(()),
                error => Err(io::Error::from_raw_os_error(error)),
            }
        };
        // If nobody waits any more, the bench has failed already.
        let _ = done.send_blocking(forget());
    });
    wait.recv().await.map_err(io::Error::other)?
}
