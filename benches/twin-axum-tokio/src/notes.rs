//! The notes, in memory: a bounded map that knows nothing of HTTP.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use prometheus_client::{metrics::gauge::Gauge, registry::Registry};
use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Note {
    pub id: u64,
    pub text: String,
}

#[derive(Debug)]
pub struct Notes {
    max: usize,
    stored: Gauge,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    last_id: u64,
    by_id: BTreeMap<u64, Note>,
}

impl Notes {
    /// An empty store for up to `max` notes, with a gauge of how many there are.
    pub fn new(max: usize, registry: &mut Registry) -> Self {
        let stored = Gauge::default();
        registry.register("notes_stored", "Notes in memory", stored.clone());
        Self { max, stored, inner: Mutex::default() }
    }

    /// Adds a note under a new id; `None` if the store is full.
    pub fn add(&self, text: String) -> Option<Note> {
        let mut inner = self.lock();
        if inner.by_id.len() >= self.max {
            return None;
        }
        inner.last_id += 1;
        let note = Note { id: inner.last_id, text };
        inner.by_id.insert(note.id, note.clone());
        self.stored.inc();
        Some(note)
    }

    /// All notes, oldest first.
    pub fn list(&self) -> Vec<Note> {
        self.lock().by_id.values().cloned().collect()
    }

    pub fn find(&self, id: u64) -> Option<Note> {
        self.lock().by_id.get(&id).cloned()
    }

    /// Removes a note and returns it.
    pub fn remove(&self, id: u64) -> Option<Note> {
        let note = self.lock().by_id.remove(&id)?;
        self.stored.dec();
        Some(note)
    }

    /// No method leaves the map half changed, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
