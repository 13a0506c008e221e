//! Goal: no wake-up is ever lost (FAULTS R1).
//! Method: two foreign threads wake 1,000 parked tasks in random order and wait for each acknowledgement.

mod support;

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use smolkit_runtime::Runtime;
use support::{Random, rounds, wait_until, within};

const TASKS: usize = 1_000;

#[derive(Default)]
struct Slot {
    waker: Mutex<Option<Waker>>,
    asked: AtomicU64,
    answered: AtomicU64,
}

fn wake_and_wait(cores: usize) {
    #[cfg(target_os = "linux")]
    {
        let mut set = rustix::thread::CpuSet::new();
        let all = rustix::thread::sched_getaffinity(None).unwrap();
        let usable = (0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| all.is_set(cpu));
        usable.take(cores).for_each(|cpu| set.set(cpu));
        // Threads started from here on inherit it.
        rustix::thread::sched_setaffinity(None, &set).unwrap();
    }
    let runtime = Runtime::builder().workers(2).build().unwrap();
    let slots: Arc<Vec<Slot>> = Arc::new((0..TASKS).map(|_| Slot::default()).collect());
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..TASKS)
        .map(|i| {
            let (slots, stop) = (slots.clone(), stop.clone());
            runtime.spawn(poll_fn(move |cx| {
                let slot = &slots[i];
                *slot.waker.lock().unwrap() = Some(cx.waker().clone());
                slot.answered.store(slot.asked.load(Ordering::SeqCst), Ordering::SeqCst);
                if stop.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
            }))
        })
        .collect();
    let wakers: Vec<_> = (0..2)
        .map(|half| {
            let slots = slots.clone();
            thread::spawn(move || {
                let mut random = Random(0x5eed + half as u64);
                for round in 0..rounds(100_000, 5_000_000) {
                    let i = random.below(TASKS / 2) * 2 + half;
                    let asked = slots[i].asked.fetch_add(1, Ordering::SeqCst) + 1;
                    let waker = slots[i].waker.lock().unwrap().clone();
                    if let Some(waker) = waker {
                        waker.wake();
                    }
                    wait_until(&format!("task {i} in round {round}"), || {
                        slots[i].answered.load(Ordering::SeqCst) >= asked
                    });
                }
            })
        })
        .collect();
    for waker in wakers {
        waker.join().unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    for slot in slots.iter() {
        let waker = slot.waker.lock().unwrap().take();
        waker.expect("every task has run").wake();
    }
    smolkit_runtime::block_on(async {
        for task in tasks {
            task.await;
        }
    });
}

#[test]
fn on_one_core() {
    within(Duration::from_secs(3_000), || wake_and_wait(1));
}

#[test]
fn on_two_cores() {
    within(Duration::from_secs(3_000), || wake_and_wait(2));
}
