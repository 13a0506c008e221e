//! The sources of a shard, by keys that no other source gets later: what is reported of a former one finds nobody.

use std::io;

use slab::Slab;

/// A key is a generation above a slot's index.
const INDEX_BITS: u32 = usize::BITS / 2;
const INDEX_MASK: usize = usize::MAX >> INDEX_BITS;

pub(crate) struct Sources<S> {
    slots: Slab<Slot<S>>,
    generation: usize,
}

struct Slot<S> {
    key: usize,
    source: S,
}

impl<S> Sources<S> {
    pub(crate) fn new() -> Sources<S> {
        Sources { slots: Slab::new(), generation: 0 }
    }

    pub(crate) fn insert(&mut self, source: S) -> io::Result<usize> {
        self.generation = self.generation.wrapping_add(1) & (usize::MAX >> INDEX_BITS);
        let entry = self.slots.vacant_entry();
        // The highest index stays free: with it, a key could equal the pollers' own.
        if entry.key() >= INDEX_MASK {
            return Err(io::Error::new(
                io::ErrorKind::OutOfMemory,
                format!("cannot register a source: {INDEX_MASK} are registered already"),
            ));
        }
        let key = (self.generation << INDEX_BITS) | entry.key();
        entry.insert(Slot { key, source });
        Ok(key)
    }

    /// `None` if it was removed: its slot may be another one's, under another key.
    pub(crate) fn get(&self, key: usize) -> Option<&S> {
        self.slots.get(index(key)).filter(|slot| slot.key == key).map(|slot| &slot.source)
    }

    pub(crate) fn remove(&mut self, key: usize) -> Option<S> {
        self.get(key)?;
        Some(self.slots.remove(index(key)).source)
    }

    /// Leaves none. Keys go on where they are.
    pub(crate) fn take_all(&mut self) -> impl ExactSizeIterator<Item = S> + use<S> {
        std::mem::take(&mut self.slots).into_iter().map(|(_, slot)| slot.source)
    }
}

fn index(key: usize) -> usize {
    key & INDEX_MASK
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// E1: the next source gets the same slot, and another key.
    #[test]
    fn a_former_key_finds_nobody() {
        let mut sources = Sources::new();
        let mut former = Vec::new();
        for number in 0..1_000 {
            let key = sources.insert(number).unwrap();
            assert!(former.iter().all(|&former| sources.get(former).is_none()));
            assert!(former.iter().all(|&former| sources.remove(former).is_none()));
            assert_eq!(sources.get(key), Some(&number));
            assert_eq!(sources.remove(key), Some(number));
            former.push(key);
        }
        assert!(former.iter().all(|&key| index(key) == index(former[0])), "one slot for all");
    }

    #[test]
    fn keys_go_on_when_all_are_taken() {
        let mut sources = Sources::new();
        let former = [sources.insert('a').unwrap(), sources.insert('b').unwrap()];
        assert_eq!(sources.take_all().collect::<String>(), "ab");
        let key = sources.insert('c').unwrap();
        assert!(former.iter().all(|&former| former != key && sources.get(former).is_none()));
        assert_eq!(sources.take_all().len(), 1);
    }
}
