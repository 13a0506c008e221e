//! What does a message through a channel cost, from one task to another and from four to one?
//!
//! All channels run on smolkit's workers, so that only the channel differs; Tokio's also on Tokio's own. Each case is a process of its own; within a
//! round the channels take turns, and each round begins with another one. `run-channels` does just one case, for a profiler:
//! `--instructions` lets valgrind's callgrind count what it executes outside of the kernel, two counts apart so that the start cancels out.

mod kinds;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::time::Instant;

use clap::{Args, ValueEnum};

use self::kinds::{Bounded, Ends, Receiver, Sender, Unbounded};
use super::method::Series;
use crate::measure::callgrind;
use crate::measure::child;
use crate::measure::cpu;
use crate::measure::machine;
use crate::measure::statistics::Summary;
use crate::measure::table::{Csv, Table, cost_cells};
use crate::words::word;

/// Messages that are sent before the channel must be empty again: a bound on the memory of the unbounded ones.
const BATCH: u64 = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[allow(clippy::enum_variant_names)] // async-channel is called so
pub enum Channel {
    /// `smolkit::sync::mpsc`
    Smolkit,
    /// async-channel, which is `smolkit::channel`
    AsyncChannel,
    /// Tokio's mpsc, on smolkit's workers
    TokioMpsc,
    /// Tokio's mpsc on Tokio's workers
    TokioAtHome,
    Flume,
    Kanal,
    /// crossfire's mpsc
    Crossfire,
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&word(self))
    }
}

#[derive(Args, Clone)]
pub struct Settings {
    #[command(flatten)]
    series: Series,
    /// All of them if none is named
    #[arg(long, value_delimiter = ',')]
    channels: Vec<Channel>,
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    workers: Vec<usize>,
    #[arg(long, value_delimiter = ',', default_value = "1,4")]
    producers: Vec<u64>,
    /// Places in the channel; 0: without limit
    #[arg(long, value_delimiter = ',', default_value = "1,128,0")]
    capacities: Vec<usize>,
    /// Messages in a round
    #[arg(long, default_value_t = 2_000_000)]
    messages: u64,
    /// Count instructions with valgrind instead of time
    #[arg(long)]
    instructions: bool,
}

#[derive(Args, Clone, Copy)]
pub struct Run {
    channel: Channel,
    producers: u64,
    /// Places in the channel; 0: without limit
    capacity: usize,
    messages: u64,
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

impl Run {
    fn arguments(&self) -> Vec<String> {
        let Run { channel, producers, capacity, messages, workers } = self;
        let words =
            format!("run-channels {channel} {producers} {capacity} {messages} --workers {workers}");
        words.split(' ').map(str::to_owned).collect()
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Run { producers, workers, .. } = self;
        let s = if *workers == 1 { "" } else { "s" };
        match self.capacity {
            0 => write!(f, "{producers} → 1, unbounded, {workers} worker{s}"),
            capacity => write!(f, "{producers} → 1, {capacity} places, {workers} worker{s}"),
        }
    }
}

pub fn run(settings: &Settings) -> io::Result<()> {
    let mut csv =
        settings.series.csv("round,producers,capacity,workers,channel,cpu_nanos,wall_nanos")?;
    println!("{}\n", machine::describe());
    let channels = match &settings.channels[..] {
        [] => Channel::value_variants(),
        some => some,
    };
    for &workers in &settings.workers {
        for &producers in &settings.producers {
            for &capacity in &settings.capacities {
                let messages = settings.messages;
                let case = |channel| Run { channel, producers, capacity, messages, workers };
                if settings.instructions {
                    print_instructions(&channels.iter().map(|&c| case(c)).collect::<Vec<_>>())?;
                } else {
                    measure(settings.series.rounds, channels, case, &mut csv)?;
                }
            }
        }
    }
    Ok(())
}

pub fn smoke() -> io::Result<()> {
    run(&Settings {
        series: Series::SMOKE,
        channels: Vec::new(),
        workers: vec![2],
        producers: vec![1, 4],
        capacities: vec![1, 0],
        messages: 10_000,
        instructions: false,
    })
}

fn measure(
    rounds: usize,
    channels: &[Channel],
    case: impl Fn(Channel) -> Run,
    csv: &mut Csv,
) -> io::Result<()> {
    let mut samples = BTreeMap::<Channel, [Vec<f64>; 2]>::new();
    for round in 0..rounds {
        for turn in 0..channels.len() {
            let channel = channels[(round + turn) % channels.len()];
            let run = case(channel);
            let cores: Vec<usize> = (0..run.workers.max(1)).collect();
            let (used, wall) = child::two_figures(&run.arguments(), &cores)?;
            let Run { producers, capacity, workers, .. } = run;
            csv.line(&format!("{round},{producers},{capacity},{workers},{channel},{used},{wall}"))?;
            let [useds, walls] = samples.entry(channel).or_default();
            useds.push(used);
            walls.push(wall);
        }
    }
    println!("{}, {rounds} rounds. Ratios are medians of paired rounds.\n", case(channels[0]));
    let mut table = Table::new(&[
        "channel",
        "CPU ns a message",
        "quartiles",
        "range",
        "× tokio-mpsc",
        "wall ns",
    ]);
    let base = samples.get(&Channel::TokioMpsc).map(|[used, _]| used.clone());
    for (channel, [used, wall]) in &samples {
        let mut cells = vec![channel.to_string()];
        cells.extend(cost_cells(used, &[base.as_deref()]));
        cells
            .push(Summary::of(wall).map_or("-".into(), |summary| format!("{:.1}", summary.median)));
        table.row(cells);
    }
    table.print();
    Ok(())
}

fn print_instructions(cases: &[Run]) -> io::Result<()> {
    println!("{}: instructions in user space.\n", cases[0]);
    let mut table = Table::new(&["channel", "instructions a message"]);
    for case in cases {
        let (few, many) = (BATCH, 5 * BATCH);
        let count = |messages| callgrind::instructions(&Run { messages, ..*case }.arguments());
        let count = count(many)?.saturating_sub(count(few)?);
        // A tenth more of each was run to warm up.
        let messages = (many + many / 10) - (few + few / 10);
        table.row(vec![case.channel.to_string(), format!("{:.0}", count as f64 / messages as f64)]);
    }
    table.print();
    Ok(())
}

/// The life of such a process.
pub fn run_one(run: &Run) -> io::Result<()> {
    match (run.channel, run.capacity) {
        (Channel::Smolkit, 0) => on_smolkit(run, Unbounded(smolkit::sync::mpsc::unbounded)),
        (Channel::Smolkit, _) => on_smolkit(run, Bounded(smolkit::sync::mpsc::bounded)),
        (Channel::AsyncChannel, 0) => on_smolkit(run, Unbounded(async_channel::unbounded)),
        (Channel::AsyncChannel, _) => on_smolkit(run, Bounded(async_channel::bounded)),
        (Channel::TokioMpsc, 0) => on_smolkit(run, Unbounded(tokio::sync::mpsc::unbounded_channel)),
        (Channel::TokioMpsc, _) => on_smolkit(run, Bounded(tokio::sync::mpsc::channel)),
        (Channel::TokioAtHome, 0) => on_tokio(run, Unbounded(tokio::sync::mpsc::unbounded_channel)),
        (Channel::TokioAtHome, _) => on_tokio(run, Bounded(tokio::sync::mpsc::channel)),
        (Channel::Flume, 0) => on_smolkit(run, Unbounded(flume::unbounded)),
        (Channel::Flume, _) => on_smolkit(run, Bounded(flume::bounded)),
        (Channel::Kanal, 0) => on_smolkit(run, Unbounded(kanal::unbounded_async)),
        (Channel::Kanal, _) => on_smolkit(run, Bounded(kanal::bounded_async)),
        (Channel::Crossfire, 0) => on_smolkit(run, Unbounded(kinds::crossfire_unbounded)),
        (Channel::Crossfire, _) => on_smolkit(run, Bounded(crossfire::mpsc::bounded_async)),
    }
}

fn on_smolkit(run: &Run, ends: impl Ends) -> io::Result<()> {
    let runtime = smolkit::Runtime::builder().workers(run.workers).build()?;
    runtime.block_on(runtime.spawn(repeat(*run, ends, |future| smolkit::spawn(future).detach())))
}

fn on_tokio(run: &Run, ends: impl Ends) -> io::Result<()> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(run.workers).enable_all().build()?;
    runtime.block_on(runtime.spawn(repeat(*run, ends, |future| drop(tokio::spawn(future)))))?
}

type Producer = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

async fn repeat<E: Ends>(run: Run, ends: E, spawn: impl Fn(Producer) + Send) -> io::Result<()> {
    // A tenth of it first, to warm up.
    some(&run, run.messages.div_ceil(10), &ends, &spawn).await?;
    let (wall, before) = (Instant::now(), cpu::time_of_process(std::process::id())?);
    let done = some(&run, run.messages, &ends, &spawn).await?;
    let used = cpu::time_of_process(std::process::id())? - before;
    let each = |nanos: u128| nanos as f64 / done as f64;
    println!("figures {:.2} {:.2}", each(used.as_nanos()), each(wall.elapsed().as_nanos()));
    Ok(())
}

/// At least so many messages, in batches; gives their number, and checks that each came once.
async fn some<E: Ends>(
    run: &Run,
    messages: u64,
    ends: &E,
    spawn: &(impl Fn(Producer) + Send),
) -> io::Result<u64> {
    let each = BATCH.min(messages).div_ceil(run.producers);
    let (mut sent, mut expected, mut total) = (0, 0u64, 0u64);
    let (sender, mut receiver) = ends.make(run.capacity);
    while sent < messages {
        for producer in 0..run.producers {
            let sender = sender.clone();
            let first = sent + producer * each;
            spawn(Box::pin(async move {
                for number in first..first + each {
                    assert!(sender.send(number).await, "the receiver is there");
                }
            }));
        }
        for number in sent..sent + run.producers * each {
            expected += number;
            total += receiver.recv().await.expect("a sender is there");
        }
        sent += run.producers * each;
    }
    match total == expected {
        true => Ok(sent),
        false => Err(io::Error::other(format!("{}, {run}: other messages came", run.channel))),
    }
}
