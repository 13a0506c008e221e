//! The systems, and each one's usual way to work with files.

use std::fmt;
use std::future::Future;
use std::io::{self, Read, Write};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::words::word;
use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum System {
    /// std::fs, on one thread without any runtime
    Std,
    /// smolkit::fs
    Smolkit,
    /// tokio::fs
    Tokio,
    /// async-fs, on smol's global executor
    Smol,
    /// monoio's files, on io_uring
    MonoioUring,
    /// std::fs within a task of smolkit's, as it must not be done
    Stalling,
}

impl System {
    /// What the command line calls it.
    pub fn name(self) -> String {
        word(&self)
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// Something to do on any system.
pub trait Work: Send + 'static {
    fn run<F: Files>(self, files: F) -> impl Future<Output = io::Result<()>> + Send + 'static;
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A system's files. Each call gives the number of bytes that it saw.
pub trait Files: Clone + Send + Sync + 'static {
    fn read(&self, path: &Path) -> impl Future<Output = io::Result<u64>> + Send;
    fn stat(&self, path: &Path) -> impl Future<Output = io::Result<u64>> + Send;
    fn read_by(&self, path: &Path, piece: usize) -> impl Future<Output = io::Result<u64>> + Send;
    /// Writes, and waits until the kernel has it all.
    fn write_by(
        &self,
        path: &Path,
        piece: usize,
        total: usize,
    ) -> impl Future<Output = io::Result<()>> + Send;
    fn copy(&self, from: &Path, to: &Path) -> impl Future<Output = io::Result<u64>> + Send;
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send;
    fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Boxed<T>;
}

/// Does it on `system`, from within a task where there are tasks; returns when it is done.
pub fn run(system: System, workers: usize, work: impl Work) -> io::Result<()> {
    match system {
        System::Std => futures_lite::future::block_on(work.run(OnStd)),
        System::Smolkit => {
            let runtime = smolkit::Runtime::builder().workers(workers).build()?;
            runtime.block_on(runtime.spawn(work.run(OnSmolkit)))
        }
        System::Stalling => {
            let runtime = smolkit::Runtime::builder().workers(workers).build()?;
            runtime.block_on(runtime.spawn(work.run(OnStd)))
        }
        System::Tokio => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            let runtime = builder.worker_threads(workers).enable_all().build()?;
            runtime.block_on(runtime.spawn(work.run(OnTokio)))?
        }
        System::Smol => {
            // SAFETY: this process has one thread so far.
            unsafe { std::env::set_var("SMOL_THREADS", workers.to_string()) };
            smol::block_on(smol::spawn(work.run(OnSmol)))
        }
        System::MonoioUring => {
            let builder = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new();
            let mut runtime = builder.enable_timer().build()?;
            runtime.block_on(async { monoio::spawn(work.run(OnMonoio)).await })
        }
    }
}

#[derive(Clone, Copy)]
struct OnStd;

impl Files for OnStd {
    async fn read(&self, path: &Path) -> io::Result<u64> {
        Ok(std::fs::read(path)?.len() as u64)
    }
    async fn stat(&self, path: &Path) -> io::Result<u64> {
        Ok(std::fs::metadata(path)?.len())
    }
    async fn read_by(&self, path: &Path, piece: usize) -> io::Result<u64> {
        let mut file = std::fs::File::open(path)?;
        let (mut buffer, mut total) = (vec![0; piece], 0);
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(total),
                count => total += count as u64,
            }
        }
    }
    async fn write_by(&self, path: &Path, piece: usize, total: usize) -> io::Result<()> {
        let mut file = std::fs::File::create(path)?;
        let bytes = vec![7; piece];
        for _ in 0..total / piece {
            file.write_all(&bytes)?;
        }
        file.flush()
    }
    async fn copy(&self, from: &Path, to: &Path) -> io::Result<u64> {
        std::fs::copy(from, to)
    }
    async fn sleep(&self, time: Duration) {
        smolkit::Timer::after(time).await;
    }
    fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Boxed<T> {
        Box::pin(smolkit::spawn(future))
    }
}

/// smolkit's and async-fs's interface are one.
macro_rules! like_smol {
    ($on:ident, $name:ident) => {
        #[derive(Clone, Copy)]
        struct $on;

        impl Files for $on {
            async fn read(&self, path: &Path) -> io::Result<u64> {
                Ok($name::fs::read(path).await?.len() as u64)
            }
            async fn stat(&self, path: &Path) -> io::Result<u64> {
                Ok($name::fs::metadata(path).await?.len())
            }
            async fn read_by(&self, path: &Path, piece: usize) -> io::Result<u64> {
                use futures_lite::AsyncReadExt;
                let mut file = $name::fs::File::open(path).await?;
                let (mut buffer, mut total) = (vec![0; piece], 0);
                loop {
                    match file.read(&mut buffer).await? {
                        0 => return Ok(total),
                        count => total += count as u64,
                    }
                }
            }
            async fn write_by(&self, path: &Path, piece: usize, total: usize) -> io::Result<()> {
                use futures_lite::AsyncWriteExt;
                let mut file = $name::fs::File::create(path).await?;
                let bytes = vec![7; piece];
                for _ in 0..total / piece {
                    file.write_all(&bytes).await?;
                }
                file.flush().await
            }
            async fn copy(&self, from: &Path, to: &Path) -> io::Result<u64> {
                $name::fs::copy(from, to).await
            }
            async fn sleep(&self, time: Duration) {
                $name::Timer::after(time).await;
            }
            fn spawn<T: Send + 'static>(
                &self,
                future: impl Future<Output = T> + Send + 'static,
            ) -> Boxed<T> {
                Box::pin($name::spawn(future))
            }
        }
    };
}

like_smol!(OnSmolkit, smolkit);
like_smol!(OnSmol, smol);

#[derive(Clone, Copy)]
struct OnTokio;

impl Files for OnTokio {
    async fn read(&self, path: &Path) -> io::Result<u64> {
        Ok(tokio::fs::read(path).await?.len() as u64)
    }
    async fn stat(&self, path: &Path) -> io::Result<u64> {
        Ok(tokio::fs::metadata(path).await?.len())
    }
    async fn read_by(&self, path: &Path, piece: usize) -> io::Result<u64> {
        use tokio::io::AsyncReadExt;
        let mut file = tokio::fs::File::open(path).await?;
        let (mut buffer, mut total) = (vec![0; piece], 0);
        loop {
            match file.read(&mut buffer).await? {
                0 => return Ok(total),
                count => total += count as u64,
            }
        }
    }
    async fn write_by(&self, path: &Path, piece: usize, total: usize) -> io::Result<()> {
        use tokio::io::AsyncWriteExt;
        let mut file = tokio::fs::File::create(path).await?;
        let bytes = vec![7; piece];
        for _ in 0..total / piece {
            file.write_all(&bytes).await?;
        }
        file.flush().await
    }
    async fn copy(&self, from: &Path, to: &Path) -> io::Result<u64> {
        tokio::fs::copy(from, to).await
    }
    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
    fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Boxed<T> {
        let handle = tokio::spawn(future);
        Box::pin(async { handle.await.expect("no task panics") })
    }
}

/// A future of a runtime with one thread, among futures that could move to another one.
struct OnlyHere<F>(Pin<Box<F>>);

fn here<F: Future>(future: F) -> OnlyHere<F> {
    OnlyHere(Box::pin(future))
}

// SAFETY: values of this type exist on monoio alone, in tasks that it keeps on the thread that made them.
unsafe impl<F> Send for OnlyHere<F> {}

impl<F: Future> Future for OnlyHere<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.0.as_mut().poll(cx)
    }
}

/// It reads and writes at positions, into buffers that it owns meanwhile, and has no copy of its own.
#[derive(Clone, Copy)]
struct OnMonoio;

impl Files for OnMonoio {
    fn read(&self, path: &Path) -> impl Future<Output = io::Result<u64>> + Send {
        here(async move { Ok(monoio::fs::read(path).await?.len() as u64) })
    }
    fn stat(&self, path: &Path) -> impl Future<Output = io::Result<u64>> + Send {
        here(async move { Ok(monoio::fs::metadata(path).await?.len()) })
    }
    fn read_by(&self, path: &Path, piece: usize) -> impl Future<Output = io::Result<u64>> + Send {
        here(async move {
            let file = monoio::fs::File::open(path).await?;
            let (mut buffer, mut total) = (vec![0; piece], 0);
            loop {
                let (result, same) = file.read_at(buffer, total).await;
                buffer = same;
                match result? {
                    0 => return Ok(total),
                    count => total += count as u64,
                }
            }
        })
    }
    fn write_by(
        &self,
        path: &Path,
        piece: usize,
        total: usize,
    ) -> impl Future<Output = io::Result<()>> + Send {
        here(async move {
            let file = monoio::fs::File::create(path).await?;
            let mut bytes = vec![7; piece];
            for index in 0..total / piece {
                let (result, same) = file.write_all_at(bytes, (index * piece) as u64).await;
                bytes = same;
                result?;
            }
            Ok(())
        })
    }
    fn copy(&self, from: &Path, to: &Path) -> impl Future<Output = io::Result<u64>> + Send {
        here(async move {
            let from = monoio::fs::File::open(from).await?;
            let to = monoio::fs::File::create(to).await?;
            let (mut buffer, mut total) = (vec![0; 64 << 10], 0);
            loop {
                let (result, same) = from.read_at(buffer, total).await;
                let count = result?;
                if count == 0 {
                    return Ok(total);
                }
                let mut bytes = same;
                bytes.truncate(count);
                let (result, same) = to.write_all_at(bytes, total).await;
                result?;
                buffer = same;
                buffer.resize(64 << 10, 0);
                total += count as u64;
            }
        })
    }
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send {
        here(async move { monoio::time::sleep(time).await })
    }
    fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Boxed<T> {
        Box::pin(here(async move { monoio::spawn(future).await }))
    }
}
