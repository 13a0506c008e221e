//! Goal: the queue agrees with an ordered map over any sequence of calls, over the whole range of its clock, and gives its memory back (M3, M7).
//! Method: random calls from a seeded generator on both, with deadlines and steps of time from a nanosecond to centuries.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

use super::*;

const SECOND: u64 = 1_000_000_000;
const MILLI: u64 = 1_000_000;
const YEAR: u64 = 365 * 24 * 3_600 * SECOND;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    /// As likely of one size as of another.
    fn of_any_size(&mut self, bits_max: u64) -> u64 {
        let bits = self.below(bits_max + 1);
        self.next() & (1_u64 << bits).wrapping_sub(1)
    }
}

/// A waker that notes its number.
struct Note(u64, Arc<Mutex<Vec<u64>>>);

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0);
    }
}

/// A queue beside its model.
#[derive(Default)]
struct Pair {
    queue: TimerQueue,
    /// By deadline and number of insertion, which orders equal ones.
    model: BTreeMap<(u64, u64), TimerKey>,
    /// For picking any of them: possibly of some that are gone.
    names: Vec<(u64, u64)>,
    inserted: u64,
    woken: Arc<Mutex<Vec<u64>>>,
    now: u64,
    /// How often the next deadline was a bound only.
    bounds: usize,
}

impl Pair {
    fn insert(&mut self, deadline: u64) {
        self.inserted += 1;
        let waker = Arc::new(Note(self.inserted, self.woken.clone())).into();
        let key = self.queue.insert(deadline, waker).unwrap();
        let deadline = self.not_passed(deadline);
        assert_eq!(key.deadline(), deadline);
        self.model.insert((deadline, self.inserted), key);
        self.names.push((deadline, self.inserted));
    }

    /// What is too late fires as soon as it can.
    fn not_passed(&self, deadline: u64) -> u64 {
        deadline.max(self.now.saturating_add(1))
    }

    fn remove(&mut self, name: (u64, u64)) {
        let Some(key) = self.model.remove(&name) else { return };
        let waker = self.queue.remove(key).expect("it has not fired");
        assert!(self.queue.remove(key).is_none(), "a key is good once");
        waker.wake();
        assert_eq!(self.woken.lock().unwrap().pop(), Some(name.1), "it is the right one");
    }

    fn pick(&mut self, random: &mut Random) -> Option<(u64, u64)> {
        while !self.names.is_empty() {
            let index = random.below(self.names.len() as u64) as usize;
            let name = self.names.swap_remove(index);
            if self.model.contains_key(&name) {
                return Some(name);
            }
        }
        None
    }

    fn fire(&mut self, now: u64) {
        self.now = now;
        let mut wakers = Vec::new();
        // Few at a time, or all at once.
        let limit = if now % 2 == 0 { usize::MAX } else { 7 };
        loop {
            self.queue.fire(now, limit, &mut wakers);
            if self.queue.next_deadline().is_none_or(|next| next > now || next == NEVER) {
                break;
            }
        }
        assert_eq!(self.queue.fired(), now.min(NEVER - 1));
        wakers.into_iter().for_each(Waker::wake);
        let mut expected = Vec::new();
        while let Some(first) = self.model.first_entry() {
            if first.key().0 > now || first.key().0 == NEVER {
                break;
            }
            let (name, key) = first.remove_entry();
            expected.push(name.1);
            assert!(self.queue.waker_mut(key).is_none());
        }
        let woken = std::mem::take(&mut *self.woken.lock().unwrap());
        assert_eq!(woken, expected, "all that is due, no other, and in order");
    }

    fn check(&mut self) {
        assert_eq!(self.queue.count(), self.model.len());
        let first = self.model.keys().next().map(|name| name.0);
        let next = self.queue.next_deadline();
        assert!(next.is_some() == first.is_some() && next <= first, "{next:?} for {first:?}");
        self.bounds += usize::from(next != first);
    }
}

#[test]
fn agrees_with_an_ordered_map() {
    let calls = if std::env::var_os("SMOLKIT_FULL").is_some() { 1_000_000 } else { 60_000 };
    let (mut pair, mut random) = (Pair::default(), Random(0x9e37_79b9_7f4a_7c15));
    let mut is_growing = true;
    for call in 0..calls {
        // Up to thousands of timers, and down to few again.
        match pair.model.len() {
            0..20 => is_growing = true,
            5_000.. => is_growing = false,
            _ => {}
        }
        let dice = random.below(100);
        if dice < if is_growing { 60 } else { 30 } {
            let ahead = match random.below(4) {
                0 => random.of_any_size(63),
                1 => random.below(SECOND),
                2 => 30 * SECOND + random.below(1_000),
                _ => random.below(64) << 14,
            };
            // Now and then in the past, or never.
            match random.below(200) {
                0 => pair.insert(pair.now / 2),
                1 => pair.insert(NEVER),
                _ => pair.insert(pair.now.saturating_add(ahead)),
            }
        } else if dice < 80 {
            if let Some(name) = pair.pick(&mut random) {
                pair.remove(name);
            }
        } else if dice < 84 {
            if let Some((deadline, number)) = pair.model.keys().next().copied() {
                // The earliest one: what the queue may remember of it is wrong from now on.
                pair.remove((deadline, number));
            }
        } else if dice < 88 {
            if let Some(name) = pair.pick(&mut random) {
                let key = pair.model.remove(&name).unwrap();
                let deadline = pair.now.saturating_add(random.of_any_size(45));
                let key = pair.queue.reset(key, deadline).expect("it has not fired");
                let deadline = pair.not_passed(deadline);
                // It keeps its waker, and comes after its new equals.
                pair.inserted += 1;
                let waker: Waker = Arc::new(Note(pair.inserted, pair.woken.clone())).into();
                *pair.queue.waker_mut(key).unwrap() = waker;
                pair.model.insert((deadline, pair.inserted), key);
                pair.names.push((deadline, pair.inserted));
            }
        } else {
            let step = match random.below(8) {
                // Exactly to the next one, or just before it.
                0 => pair.queue.next_deadline().unwrap_or(0).saturating_sub(pair.now),
                1 => pair.queue.next_deadline().unwrap_or(0).saturating_sub(pair.now + 1),
                2 => random.of_any_size(40),
                3 if call % 50 == 0 => random.of_any_size(61),
                _ => random.of_any_size(22),
            };
            // Time runs out after 584 years: begin again, with what is left.
            let now = pair.now.saturating_add(step).min(NEVER - 1);
            pair.fire(now);
            if now > NEVER - 100 * YEAR {
                pair.fire(NEVER);
                pair = Pair { bounds: pair.bounds, ..Pair::default() };
            }
        }
        pair.check();
    }
    assert!(
        pair.bounds < calls / 20,
        "{} of {calls} deadlines were no more than bounds",
        pair.bounds
    );
    pair.fire(NEVER);
    while let Some(name) = pair.model.keys().next().copied() {
        assert_eq!(name.0, NEVER, "only what never comes is left");
        pair.remove(name);
        pair.check();
    }
}

#[test]
fn seconds_beside_a_year_through_every_power_of_two() {
    let mut pair = Pair::default();
    for bits in 30..=37 {
        let moment = (1_u64 << bits) * MILLI;
        pair.fire(moment - SECOND / 2);
        pair.insert(pair.now + YEAR);
        for number in 0..100 {
            pair.insert(pair.now + SECOND + number);
            pair.insert(pair.now + number * SECOND / 100);
        }
        // As a driver does: from deadline to deadline. Each of them fires something.
        for _ in 0..200 {
            pair.check();
            let before = pair.model.len();
            let next = pair.queue.next_deadline().unwrap();
            assert!(next <= moment + SECOND);
            pair.fire(next);
            if pair.model.keys().next().unwrap().0 > moment + SECOND {
                break;
            }
            assert!(pair.model.len() < before);
        }
        let left = pair.model.keys().next().unwrap().0;
        assert!(left > moment + SECOND, "timers of a second have fired");
        // Within the next step of the clock; that of the last year fires with it.
        pair.check();
    }
}

#[test]
fn equal_deadlines_fire_in_the_order_of_insertion() {
    let mut pair = Pair::default();
    for deadline in [5, SECOND, SECOND + 1, YEAR] {
        (0..500).for_each(|_| pair.insert(deadline));
        (0..500).for_each(|_| pair.insert(deadline - 1));
    }
    for now in [4, 5, SECOND / 2, SECOND, YEAR] {
        pair.fire(now);
        pair.check();
    }
    assert_eq!(pair.queue.count(), 0);
}

/// A driver that sleeps until a bound, finds nothing due and looks again, comes to the deadline soon.
#[test]
fn a_bound_gets_better_with_time() {
    let mut queue = TimerQueue::default();
    let noop = || Waker::noop().clone();
    let keys: Vec<_> =
        (0..10_000).map(|i| queue.insert(YEAR + i * 1_000, noop()).unwrap()).collect();
    for key in &keys[..9_000] {
        queue.remove(*key);
    }
    let mut looks = 0;
    let mut wakers = Vec::new();
    while wakers.is_empty() {
        let now = queue.next_deadline().unwrap();
        queue.fire(now, usize::MAX, &mut wakers);
        looks += 1;
        assert!(looks <= 12, "twelve looks, and nothing was due");
        assert!(now <= YEAR + 9_000_000);
    }
    assert_eq!(wakers.len(), 1);
}

#[test]
fn room_is_given_back() {
    let mut queue = TimerQueue::default();
    let noop = || Waker::noop().clone();
    let first = queue.insert(SECOND, noop()).unwrap();
    let insert_many = |queue: &mut TimerQueue| -> Vec<TimerKey> {
        (0..100_000).map(|i| queue.insert(i * MILLI, noop()).unwrap()).collect()
    };
    let keys = insert_many(&mut queue);
    assert!(queue.entries.capacity() >= 100_000);
    for key in keys {
        queue.remove(key).unwrap();
    }
    // One timer that was there before the others does not keep their room for long.
    for _ in 0..50_000 {
        let key = queue.insert(SECOND, noop()).unwrap();
        queue.remove(key).unwrap();
    }
    assert!(queue.entries.capacity() < 10_000, "{}", queue.entries.capacity());
    insert_many(&mut queue);
    queue.remove(first).unwrap();
    queue.fire(NEVER, usize::MAX, &mut Vec::new());
    assert_eq!(queue.entries.capacity() + queue.run.capacity(), 0);
    assert!(queue.wheel.is_none());
}

#[test]
fn a_closed_queue_takes_nothing_in() {
    let mut queue = TimerQueue::default();
    let key = queue.insert(5, Waker::noop().clone()).unwrap();
    assert_eq!(queue.close().len(), 1);
    assert!(queue.is_closed() && queue.remove(key).is_none());
    assert!(queue.insert(5, Waker::noop().clone()).is_err());
    assert_eq!((queue.count(), queue.next_deadline()), (0, None));
}
