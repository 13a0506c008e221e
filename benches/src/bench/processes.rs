//! What do subprocesses cost the parent: to start one and wait for it, and to move data through one?
//!
//! Each case is a process of its own, which spends its time as a program would: one thread, and `std` blocks it. Only the parent's processor time
//! is counted, not its children's. Within a round the systems take turns, and each round begins with another one. `run-processes` does just
//! one case, for `strace -c -f` or a profiler.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io::{self, Read, Write};
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use clap::{Args, ValueEnum};
use futures_lite::future;

use super::method::Series;
use crate::measure::child;
use crate::measure::cpu;
use crate::measure::machine;
use crate::measure::statistics::Summary;
use crate::measure::table::{Table, cost_cells};
use crate::words::word;

const TOGETHER: usize = 32;
const CHUNK_BYTES: usize = 64 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum System {
    Smolkit,
    Std,
    /// Tokio's current-thread runtime
    Tokio,
    /// async-process, which is `smol::process`
    AsyncProcess,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    /// Spawn /bin/true and wait for it, one after the other; an operation is a process
    One,
    /// 32 at once; an operation is a process
    Together,
    /// Through `cat` and back; an operation is 64 KiB, read into a buffer of that size
    Cat,
}

macro_rules! display {
    ($($type:ident),*) => {
        $(
            impl fmt::Display for $type {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(&word(self))
                }
            }
        )*
    };
}

display!(System, Kind);

#[derive(Args, Clone)]
pub struct Settings {
    #[command(flatten)]
    series: Series,
    /// All of them if none is named
    #[arg(long, value_delimiter = ',')]
    systems: Vec<System>,
    /// All of them if none is named
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<Kind>,
    /// Processes in a round
    #[arg(long, default_value_t = 640)]
    processes: u64,
    /// MiB through `cat` in a round
    #[arg(long, default_value_t = 256)]
    mebibytes: u64,
}

#[derive(Args, Clone, Copy)]
pub struct Run {
    system: System,
    kind: Kind,
    /// Processes, or pieces of 64 KiB
    count: u64,
}

pub fn run(settings: &Settings) -> io::Result<()> {
    let mut csv = settings.series.csv("round,kind,system,cpu_micros,wall_micros")?;
    println!("{}\n", machine::describe());
    let systems = all_if_none(&settings.systems);
    for kind in all_if_none(&settings.kinds) {
        let count = match kind {
            Kind::Cat => settings.mebibytes << 4,
            _ => settings.processes,
        };
        let mut samples = BTreeMap::<System, [Vec<f64>; 2]>::new();
        for round in 0..settings.series.rounds {
            for turn in 0..systems.len() {
                let system = systems[(round + turn) % systems.len()];
                let (used, wall) = measure_once(Run { system, kind, count })?;
                csv.line(&format!("{round},{kind},{system},{used},{wall}"))?;
                let [useds, walls] = samples.entry(system).or_default();
                useds.push(used);
                walls.push(wall);
            }
        }
        println!(
            "{kind}, {} rounds of {count}. The parent's µs; ratios are medians of paired rounds.\n",
            settings.series.rounds
        );
        let head = ["system", "CPU µs", "quartiles", "range", "× std", "× tokio", "wall µs"];
        let mut table = Table::new(&head);
        let base = |system| samples.get(&system).map(|[used, _]| used.as_slice());
        for (system, [used, wall]) in &samples {
            let mut cells = vec![system.to_string()];
            cells.extend(cost_cells(used, &[base(System::Std), base(System::Tokio)]));
            let wall = Summary::of(wall).map(|summary| format!("{:.1}", summary.median));
            cells.push(wall.unwrap_or_default());
            table.row(cells);
        }
        table.print();
    }
    Ok(())
}

pub fn smoke() -> io::Result<()> {
    run(&Settings {
        series: Series::SMOKE,
        systems: Vec::new(),
        kinds: Vec::new(),
        processes: 64,
        mebibytes: 1,
    })
}

fn all_if_none<T: ValueEnum>(some: &[T]) -> Vec<T> {
    if some.is_empty() { T::value_variants().to_vec() } else { some.to_vec() }
}

fn measure_once(run: Run) -> io::Result<(f64, f64)> {
    let Run { system, kind, count } = run;
    let arguments =
        ["run-processes".into(), system.to_string(), kind.to_string(), count.to_string()];
    let cores: Vec<usize> = (0..thread::available_parallelism().map_or(1, usize::from)).collect();
    child::two_figures(&arguments, &cores)
}

/// The life of such a process.
pub fn run_one(run: &Run) -> io::Result<()> {
    match run.system {
        System::Std => on_std(run),
        System::Tokio => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(on_tokio(run))
        }
        System::Smolkit => smolkit::block_on(on_smolkit(run)),
        System::AsyncProcess => smol::block_on(on_async_process(run)),
    }
}

/// What it took since it was made, for each of `count` operations.
struct Stopwatch(Instant, std::time::Duration);

impl Stopwatch {
    fn start() -> io::Result<Stopwatch> {
        Ok(Stopwatch(Instant::now(), cpu::time_of_process(std::process::id())?))
    }

    fn stop(self, count: u64) -> io::Result<()> {
        let used = cpu::time_of_process(std::process::id())? - self.1;
        let each = |time: std::time::Duration| time.as_secs_f64() * 1e6 / count as f64;
        println!("figures {:.2} {:.2}", each(used), each(self.0.elapsed()));
        Ok(())
    }
}

fn successful(status: io::Result<std::process::ExitStatus>) -> io::Result<()> {
    match status? {
        status if status.success() => Ok(()),
        status => Err(io::Error::other(format!("a child ended with {status}"))),
    }
}

fn on_std(run: &Run) -> io::Result<()> {
    let command = || std::process::Command::new("/bin/true");
    successful(command().status())?;
    let watch = Stopwatch::start()?;
    match run.kind {
        Kind::One => {
            for _ in 0..run.count {
                successful(command().status())?;
            }
        }
        Kind::Together => {
            for _ in 0..run.count / TOGETHER as u64 {
                let children: Vec<_> = (0..TOGETHER).map(|_| command().spawn()).collect();
                for child in children {
                    successful(child?.wait())?;
                }
            }
        }
        Kind::Cat => {
            let mut child = std::process::Command::new("cat")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let (mut stdin, mut stdout) =
                (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
            let count = run.count;
            let writer = thread::spawn(move || {
                let chunk = [7; CHUNK_BYTES];
                (0..count).try_for_each(|_| stdin.write_all(&chunk))
            });
            let mut chunk = [0; CHUNK_BYTES];
            for _ in 0..run.count {
                stdout.read_exact(&mut chunk)?;
            }
            writer.join().expect("it does not panic")?;
            successful(child.wait())?;
        }
    }
    watch.stop(run.count)
}

async fn together<F: Future<Output = io::Result<()>>>(
    count: u64,
    one: impl Fn() -> F,
) -> io::Result<()> {
    for _ in 0..count / TOGETHER as u64 {
        // All in one task: the futures are polled by hand, so that no executor's cost is in it.
        let mut waits: Vec<_> = (0..TOGETHER).map(|_| Some(Box::pin(one()))).collect();
        future::poll_fn(|cx| {
            let mut is_over = true;
            for wait in &mut waits {
                let Some(future) = wait else { continue };
                match future.as_mut().poll(cx) {
                    std::task::Poll::Ready(Ok(())) => *wait = None,
                    std::task::Poll::Ready(error) => return std::task::Poll::Ready(error),
                    std::task::Poll::Pending => is_over = false,
                }
            }
            if is_over { std::task::Poll::Ready(Ok(())) } else { std::task::Poll::Pending }
        })
        .await?;
    }
    Ok(())
}

macro_rules! system {
    ($name:ident, $wait:ident, $($imports:item)*) => {
        async fn $name(run: &Run) -> io::Result<()> {
            $($imports)*
            let status = || async { Command::new("/bin/true").status().await };
            successful(status().await)?;
            let watch = Stopwatch::start()?;
            match run.kind {
                Kind::One => {
                    for _ in 0..run.count {
                        successful(status().await)?;
                    }
                }
                Kind::Together => {
                    together(run.count, || async { successful(status().await) }).await?
                }
                Kind::Cat => {
                    let mut child =
                        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
                    let (mut stdin, mut stdout) =
                        (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
                    let write = async {
                        let chunk = [7; CHUNK_BYTES];
                        for _ in 0..run.count {
                            stdin.write_all(&chunk).await?;
                        }
                        drop(stdin);
                        io::Result::Ok(())
                    };
                    let read = async {
                        let mut chunk = [0; CHUNK_BYTES];
                        for _ in 0..run.count {
                            stdout.read_exact(&mut chunk).await?;
                        }
                        io::Result::Ok(())
                    };
                    future::try_zip(write, read).await?;
                    successful(child.$wait().await)?;
                }
            }
            watch.stop(run.count)
        }
    };
}

system! {
    on_smolkit, status,
    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    use smolkit::process::Command;
}
system! {
    on_async_process, status,
    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    use smol::process::Command;
}
system! {
    on_tokio, wait,
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::process::Command;
}
