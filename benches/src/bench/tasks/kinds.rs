//! The kinds of work whose cost is counted for each operation.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use clap::ValueEnum;

use super::slot::Slot;
use super::systems::{Count, Spawn, System, Work};
use crate::measure::cpu;
use crate::words::word;

/// Tasks that wait for blocking work at the same time.
const BLOCKING_TASKS: u64 = 64;
/// Jobs that are there before the first thread may be.
const BURST: u64 = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    /// Spawn a task and await it, one after the other; an operation is a task
    SpawnOne,
    /// Spawn 1,000 tasks, then await them all; an operation is a task
    SpawnMany,
    /// 1,000 tasks take turns in yielding (on monoio each one yields to itself); an operation is a yield
    Yield,
    /// Two tasks wake each other by hand; an operation is a wake-up
    HandOver,
    /// 1,000 pairs of tasks, an async-channel of one place in each direction; an operation is a message
    PingPong,
    /// The same with Tokio's channel, on Tokio
    PingPongMpsc,
    /// Each task spawns two and awaits them, down to the leaves; an operation is a leaf
    Tree,
    /// 1,000 tasks lock a mutex and yield once while they hold it; an operation is a lock
    Mutex,
    /// Run a job on a thread that may block and await it, one after the other; an operation is a job
    UnblockOne,
    /// 64 tasks do so at the same time
    UnblockMany,
    /// 10,000 jobs at once, then await them all
    UnblockBurst,
    /// A thread of the program's own wakes a task: how long until it runs?
    Wake,
    /// Tasks that wait for ever: how much memory does each take?
    Parked,
}

impl Kind {
    pub fn name(self) -> String {
        word(&self)
    }

    pub fn suits(self, system: System) -> bool {
        match self {
            Kind::PingPongMpsc => matches!(system, System::Tokio | System::TokioLocal),
            Kind::Wake => system != System::Bare,
            // The static executor has the pool of smol, and monoio none unless told to.
            kind if kind.blocks() => {
                !system.is_monoio() && !matches!(system, System::SmolStatic | System::Bare)
            }
            _ => true,
        }
    }

    /// Its work is not done by the workers alone.
    pub fn blocks(self) -> bool {
        matches!(self, Kind::UnblockOne | Kind::UnblockMany | Kind::UnblockBurst)
    }

    /// It is for so many tasks as one likes.
    pub fn scales_with_tasks(self) -> bool {
        use Kind::*;
        matches!(self, SpawnMany | Yield | PingPong | PingPongMpsc | Mutex)
    }
}

/// Does it again and again; says how many ns an operation took, of processor time and by the clock.
pub struct Repeat {
    pub kind: Kind,
    /// Tasks (or pairs) at once, where it has a choice.
    pub tasks: u64,
    pub operations: u64,
}

impl Work for Repeat {
    async fn run<S: Spawn>(self, on: S) -> io::Result<()> {
        // A tenth of it first, to warm up.
        self.some(on, self.operations.div_ceil(10)).await?;
        let (wall, before) = (Instant::now(), cpu::time_of_process(std::process::id())?);
        let done = self.some(on, self.operations).await?;
        let used = cpu::time_of_process(std::process::id())? - before;
        let each = |nanos: u128| nanos as f64 / done as f64;
        let (used, wall) = (each(used.as_nanos()), each(wall.elapsed().as_nanos()));
        println!("figures {used:.2} {wall:.2}");
        Ok(())
    }
}

impl Repeat {
    /// At least so many operations, or one of each task; gives their number, and checks that they were done.
    async fn some<S: Spawn>(&self, on: S, operations: u64) -> io::Result<u64> {
        let tasks = match self.kind {
            Kind::SpawnOne | Kind::HandOver | Kind::UnblockOne => 1,
            Kind::UnblockMany => BLOCKING_TASKS,
            Kind::UnblockBurst => BURST.min(operations.max(1)),
            _ => self.tasks,
        };
        let rounds = operations.div_ceil(tasks);
        let (done, expected) = match self.kind {
            Kind::SpawnOne => (spawn_one(on, rounds).await, rounds),
            Kind::SpawnMany => (spawn_many(on, tasks, rounds).await, tasks * rounds),
            Kind::Yield => (yields(on, tasks, rounds).await, tasks * rounds),
            Kind::HandOver => (hand_over(on, rounds.div_ceil(2)).await, rounds.div_ceil(2) * 2),
            Kind::PingPong | Kind::PingPongMpsc => {
                let messages = match self.kind {
                    Kind::PingPong => ping_pong(on, tasks, rounds.div_ceil(2)).await,
                    _ => ping_pong_mpsc(on, tasks, rounds.div_ceil(2)).await,
                };
                (messages, tasks * rounds.div_ceil(2) * 2)
            }
            Kind::Tree => {
                let depth = operations.max(1).next_power_of_two().ilog2();
                (tree(on, depth).await, 1 << depth)
            }
            Kind::Mutex => (mutex(on, tasks, rounds).await, tasks * rounds),
            Kind::UnblockOne | Kind::UnblockMany => {
                (unblock(on, tasks, rounds).await, tasks * rounds)
            }
            Kind::UnblockBurst => (unblock_burst(on, tasks, rounds).await, tasks * rounds),
            Kind::Wake | Kind::Parked => {
                return Err(io::Error::other(format!("{} repeats nothing", self.kind.name())));
            }
        };
        match done == expected {
            true => Ok(done),
            false => Err(io::Error::other(format!("{done} operations instead of {expected}"))),
        }
    }
}

async fn spawn_one(on: impl Spawn, count: u64) -> u64 {
    let mut sum = 0;
    for _ in 0..count {
        sum += on.spawn(async { 1 }).await;
    }
    sum
}

async fn spawn_many(on: impl Spawn, tasks: u64, rounds: u64) -> u64 {
    let mut sum = 0;
    for _ in 0..rounds {
        sum += all(on, tasks, |_| async { 1 }).await;
    }
    sum
}

async fn yields(on: impl Spawn, tasks: u64, rounds: u64) -> u64 {
    let one = move |_| async move {
        for _ in 0..rounds {
            on.yield_now().await;
        }
        rounds
    };
    all(on, tasks, one).await
}

/// A task and its caller hand a token to and fro, `count` times each.
async fn hand_over(on: impl Spawn, count: u64) -> u64 {
    let (there, back) = (Arc::new(Slot::default()), Arc::new(Slot::default()));
    let (inbox, outbox) = (there.clone(), back.clone());
    let other = on.spawn(async move {
        for _ in 0..count {
            let token: u64 = inbox.take().await;
            outbox.put(token + 1);
        }
        0
    });
    let mut token = 0;
    for _ in 0..count {
        there.put(token + 1);
        token = back.take().await;
    }
    other.await + token
}

async fn ping_pong(on: impl Spawn, pairs: u64, rounds: u64) -> u64 {
    let pair = move |_| async move {
        let (there, inbox) = async_channel::bounded(1);
        let (outbox, back) = async_channel::bounded(1);
        let other = on.spawn(async move {
            while let Ok(token) = inbox.recv().await {
                if outbox.send(token + 1).await.is_err() {
                    break;
                }
            }
            0
        });
        let mut token: u64 = 0;
        for _ in 0..rounds {
            there.send(token + 1).await.expect("the other one listens");
            token = back.recv().await.expect("the other one answers");
        }
        drop(there);
        other.await + token
    };
    all(on, pairs, pair).await
}

async fn ping_pong_mpsc(on: impl Spawn, pairs: u64, rounds: u64) -> u64 {
    let pair = move |_| async move {
        let (there, mut inbox) = tokio::sync::mpsc::channel(1);
        let (outbox, mut back) = tokio::sync::mpsc::channel(1);
        let other = on.spawn(async move {
            while let Some(token) = inbox.recv().await {
                if outbox.send(token + 1).await.is_err() {
                    break;
                }
            }
            0
        });
        let mut token: u64 = 0;
        for _ in 0..rounds {
            there.send(token + 1).await.expect("the other one listens");
            token = back.recv().await.expect("the other one answers");
        }
        drop(there);
        other.await + token
    };
    all(on, pairs, pair).await
}

/// Grows from one task; its value is the number of leaves.
fn tree<S: Spawn>(on: S, depth: u32) -> S::Handle {
    on.spawn(async move {
        if depth == 0 {
            return 1;
        }
        let (left, right) = (tree(on, depth - 1), tree(on, depth - 1));
        left.await + right.await
    })
}

async fn mutex<S: Spawn>(on: S, tasks: u64, rounds: u64) -> u64 {
    let count = Arc::new(S::Mutex::default());
    let one = |_| {
        let count = count.clone();
        async move {
            for _ in 0..rounds {
                count.add_one(on.yield_now()).await;
            }
            0
        }
    };
    all(on, tasks, one).await + Arc::into_inner(count).map_or(0, Count::total)
}

async fn unblock(on: impl Spawn, tasks: u64, rounds: u64) -> u64 {
    let one = move |_| async move {
        let mut sum = 0;
        for _ in 0..rounds {
            sum += on.unblock(|| 1).await;
        }
        sum
    };
    all(on, tasks, one).await
}

async fn unblock_burst<S: Spawn>(on: S, jobs: u64, rounds: u64) -> u64 {
    let mut sum = 0;
    for _ in 0..rounds {
        let handles: Vec<S::Handle> = (0..jobs).map(|_| on.unblock(|| 1)).collect();
        for handle in handles {
            sum += handle.await;
        }
    }
    sum
}

/// Spawns so many tasks, then awaits them; the sum of their values.
async fn all<S: Spawn, F>(on: S, tasks: u64, make: impl Fn(u64) -> F) -> u64
where
    F: Future<Output = u64> + Send + 'static,
{
    let handles: Vec<S::Handle> = (0..tasks).map(|number| on.spawn(make(number))).collect();
    let mut sum = 0;
    for handle in handles {
        sum += handle.await;
    }
    sum
}
