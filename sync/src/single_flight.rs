//! The same work for several callers is done once.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_lock::OnceCell;
use futures_lite::future::block_on;

/// Lets callers who ask for the same key at the same time share one answer.
///
/// Nothing is kept: who asks after the answer has come starts anew. For a cache put one in front.
///
/// # Cancel safety
///
/// If the caller who does the work is dropped, the next one who waits begins it again; if all are, it is forgotten.
///
/// # Panics
///
/// A panic of the work goes to the caller who did it; the next one who waits begins it again.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use futures_lite::future;
/// use smolkit_sync::SingleFlight;
///
/// # smolkit_runtime::block_on(async {
/// let flights = SingleFlight::new();
/// let loads = AtomicUsize::new(0);
/// let load = || async {
///     loads.fetch_add(1, Ordering::SeqCst);
///     future::yield_now().await;
///     "page"
/// };
/// let both = future::zip(flights.run("key", load), flights.run("key", load));
/// assert_eq!(both.await, ("page", "page"));
/// assert_eq!(loads.into_inner(), 1);
/// # });
/// ```
pub struct SingleFlight<K, V> {
    flights: Mutex<HashMap<K, Arc<OnceCell<V>>>>,
}

impl<K, V> Default for SingleFlight<K, V> {
    fn default() -> SingleFlight<K, V> {
        SingleFlight { flights: Mutex::new(HashMap::new()) }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> SingleFlight<K, V> {
    /// No work is under way.
    pub fn new() -> SingleFlight<K, V> {
        SingleFlight::default()
    }

    /// The answer for `key`: that of the work under way, or of `work`, which is called if there is none.
    ///
    /// To share failures too, let the answer be a `Result` whose error can be cloned.
    ///
    /// # Cancel safety
    ///
    /// Whoever does the work and is dropped loses it: the next one who waits calls its own `work`. Others lose nothing.
    pub async fn run<F: Future<Output = V>>(&self, key: K, work: impl FnOnce() -> F) -> V {
        let flight = self.join(key);
        let answer = flight.cell().get_or_init(work).await.clone();
        flight.land();
        answer
    }

    /// [`run`](SingleFlight::run) for a thread that may block.
    pub fn run_blocking<F: Future<Output = V>>(&self, key: K, work: impl FnOnce() -> F) -> V {
        block_on(self.run(key, work))
    }

    /// How many pieces of work are under way.
    pub fn in_flight(&self) -> usize {
        lock(&self.flights).len()
    }

    fn join(&self, key: K) -> Flight<'_, K, V> {
        // Cloned, and dropped if it is not needed, where no lock is held: a key's own code may look at this.
        let listed = key.clone();
        let mut flights = lock(&self.flights);
        let known = flights.get(&key).cloned();
        let (cell, unused) = match known {
            Some(cell) => (cell, Some(listed)),
            None => {
                let cell = Arc::<OnceCell<V>>::default();
                flights.insert(listed, cell.clone());
                (cell, None)
            }
        };
        drop(flights);
        drop(unused);
        Flight { flights: &self.flights, key, cell: Some(cell) }
    }
}

impl<K, V> fmt::Debug for SingleFlight<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight").field("in_flight", &lock(&self.flights).len()).finish()
    }
}

type Flights<K, V> = Mutex<HashMap<K, Arc<OnceCell<V>>>>;

/// One caller's part in a piece of work.
struct Flight<'s, K: Eq + Hash, V> {
    flights: &'s Flights<K, V>,
    key: K,
    /// `None` only while it is dropped.
    cell: Option<Arc<OnceCell<V>>>,
}

impl<K: Eq + Hash, V> Flight<'_, K, V> {
    fn cell(&self) -> &OnceCell<V> {
        self.cell.as_ref().expect("only drop takes it")
    }

    /// The answer is there: who comes from now on starts anew.
    fn land(&self) {
        let mut flights = lock(self.flights);
        let is_ours =
            |cell: &Arc<OnceCell<V>>| self.cell.as_ref().is_some_and(|own| Arc::ptr_eq(own, cell));
        let removed = if flights.get(&self.key).is_some_and(is_ours) {
            flights.remove_entry(&self.key)
        } else {
            None
        };
        drop(flights);
        drop(removed);
    }
}

impl<K: Eq + Hash, V> Drop for Flight<'_, K, V> {
    fn drop(&mut self) {
        let Some(own) = self.cell.take() else { return };
        let mut flights = lock(self.flights);
        let is_listed = flights.get(&self.key).is_some_and(|cell| Arc::ptr_eq(&own, cell));
        if is_listed && Arc::strong_count(&own) > 2 {
            // Under the lock, for the others to count right. The map's reference remains, so nothing of the user's is dropped.
            drop(own);
            return;
        }
        // The map's reference and ours: nobody else is in it any more, and nobody can join while we hold the lock.
        let removed = if is_listed { flights.remove_entry(&self.key) } else { None };
        drop(flights);
        drop((removed, own));
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A key's `Hash` or `Eq` may panic; the map stays whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
