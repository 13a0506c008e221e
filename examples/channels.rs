//! Workers take jobs from a channel, answer on oneshot channels, and stop when a watched value says so.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use smolkit::sync::{channel, oneshot, watch};
use smolkit::{future, spawn};

type Job = (u64, oneshot::Sender<u64>);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    smolkit::block_on(async {
        let (jobs, inbox) = channel::bounded::<Job>(4);
        let (stop, stopping) = watch::channel(false);
        let workers: Vec<_> =
            (0..2).map(|_| spawn(work(inbox.clone(), stopping.clone()))).collect();

        for number in [10, 20, 30] {
            let (answer, answered) = oneshot::channel();
            jobs.send((number, answer)).await?;
            println!("the sum up to {number} is {}", answered.await?);
        }

        stop.send(true)?;
        for worker in workers {
            println!("a worker did {} jobs", worker.await);
        }
        Ok(())
    })
}

async fn work(inbox: channel::Receiver<Job>, mut stopping: watch::Receiver<bool>) -> u32 {
    let mut count = 0;
    loop {
        let stop = async {
            // An error means that nobody can ask us to stop any more: a reason to stop, too.
            let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
            None
        };
        let job = async { inbox.recv().await.ok() };
        let Some((number, answer)) = future::or(stop, job).await else { return count };
        // Who asked may have gone.
        let _ = answer.send((1..=number).sum());
        count += 1;
    }
}
