//! The wakers of tasks that wait, in a word each.
//!
//! A waker is two words: what it points at, and the table of its functions, which is the same for all tasks that come from the same call of `spawn`.
//! So there is a group for each table, and only the other word for each waker.

use std::mem::ManuallyDrop;
use std::ptr;
use std::task::{RawWakerVTable, Waker};

/// A free word holds the index of the next one in all bits but this one, which no pointer to a task has.
const FREE: usize = 1;
const NO_INDEX: usize = usize::MAX >> 1;

pub(crate) struct Wakers {
    /// There are few: as many as a program has kinds of tasks that wait.
    groups: Vec<Group>,
}

/// Where a waker is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) group: u16,
    pub(crate) index: u32,
}

impl Key {
    /// Under this one there is no waker.
    pub(crate) const NOWHERE: Key = Key { group: u16::MAX, index: 0 };

    pub(crate) fn is_nowhere(self) -> bool {
        self.group == u16::MAX
    }
}

struct Group {
    table: &'static RawWakerVTable,
    /// What a waker points at, or the next free word.
    words: Vec<*const ()>,
    first_free: usize,
}

// SAFETY: the words stand for wakers, which are `Send`.
unsafe impl Send for Group {}

impl Wakers {
    pub(crate) const fn new() -> Wakers {
        Wakers { groups: Vec::new() }
    }

    /// # Panics
    ///
    /// With 2^16 kinds of wakers, with 2^32 of one kind, or when one points at an odd address: none of which happens to wakers of tasks.
    pub(crate) fn insert(&mut self, waker: Waker) -> Key {
        let table = waker.vtable();
        let is_its = |group: &Group| ptr::eq(group.table, table);
        let group = self.groups.iter().position(is_its).unwrap_or_else(|| {
            self.groups.push(Group { table, words: Vec::new(), first_free: NO_INDEX });
            self.groups.len() - 1
        });
        let index = self.groups[group].insert(waker);
        let key = Key {
            group: u16::try_from(group).unwrap_or(u16::MAX),
            index: u32::try_from(index).expect("memory has no room for 2^32 tasks"),
        };
        assert!(!key.is_nowhere(), "no program has 2^16 kinds of tasks");
        key
    }

    /// Takes out what was put in under this key.
    pub(crate) fn remove(&mut self, key: Key) -> Option<Waker> {
        self.groups.get_mut(usize::from(key.group))?.remove(key.index as usize)
    }

    /// Clones of all.
    pub(crate) fn all(&self) -> Vec<Waker> {
        let wakers = self.groups.iter().flat_map(|group| {
            let words = group.words.iter().filter(|word| !is_free(**word));
            words.map(|word| Waker::clone(&group.waker(*word)))
        });
        wakers.collect()
    }
}

impl Group {
    fn insert(&mut self, waker: Waker) -> usize {
        let word = waker.data();
        assert!(!is_free(word), "a waker points at an odd address");
        let waker = ManuallyDrop::new(waker);
        let index = self.first_free;
        match self.words.get_mut(index) {
            Some(place) => {
                self.first_free = place.addr() >> 1;
                *place = waker.data();
                index
            }
            None => {
                self.words.push(waker.data());
                self.words.len() - 1
            }
        }
    }

    fn remove(&mut self, index: usize) -> Option<Waker> {
        let word = *self.words.get(index)?;
        if is_free(word) {
            return None;
        }
        self.words[index] = ptr::without_provenance(self.first_free << 1 | FREE);
        self.first_free = index;
        Some(ManuallyDrop::into_inner(self.waker(word)))
    }

    /// The waker that one of the words stands for, which is not free.
    fn waker(&self, word: *const ()) -> ManuallyDrop<Waker> {
        // SAFETY: both parts come from one waker, which `insert` has kept from being dropped. As long as its word is here it lives; whoever takes that away may
        // drop it.
        ManuallyDrop::new(unsafe { Waker::new(word, self.table) })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for index in 0..self.words.len() {
            drop(self.remove(index));
        }
    }
}

fn is_free(word: *const ()) -> bool {
    word.addr() & FREE != 0
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    struct One;
    struct Other;

    impl Wake for One {
        fn wake(self: Arc<Self>) {}
    }

    impl Wake for Other {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn each_comes_back_once_and_the_rest_with_the_list() {
        let (one, other) = (Arc::new(One), Arc::new(Other));
        let mut wakers = Wakers::new();
        let keys: Vec<Key> = (0..100)
            .map(|number| match number % 2 {
                0 => wakers.insert(one.clone().into()),
                _ => wakers.insert(other.clone().into()),
            })
            .collect();
        assert_eq!((wakers.groups.len(), wakers.all().len()), (2, 100));
        for key in &keys[..50] {
            assert!(wakers.remove(*key).is_some());
            assert!(wakers.remove(*key).is_none());
        }
        assert_eq!((Arc::strong_count(&one), Arc::strong_count(&other)), (26, 26));
        for _ in 0..50 {
            wakers.insert(one.clone().into());
        }
        // 25 places were free, and 25 are new.
        assert_eq!((wakers.groups[0].words.len(), wakers.groups[1].words.len()), (75, 50));
        assert_eq!((Arc::strong_count(&one), Arc::strong_count(&other)), (76, 26));
        assert!(wakers.all().iter().all(|waker| waker.data() == Arc::as_ptr(&one).cast()
            || waker.data() == Arc::as_ptr(&other).cast()));
        drop(wakers);
        assert_eq!((Arc::strong_count(&one), Arc::strong_count(&other)), (1, 1));
    }
}
