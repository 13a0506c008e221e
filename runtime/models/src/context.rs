//! What a source asks of the thread that it is on.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::task::Waker;

use crate::reactor::Shard;

loom::thread_local! {
    /// The thread's own shard, and the common one.
    static SHARDS: RefCell<Option<(Arc<Shard>, Arc<Shard>)>> = RefCell::new(None);
}

pub(crate) fn enter(own: &Arc<Shard>, common: &Arc<Shard>) {
    SHARDS.with(|shards| *shards.borrow_mut() = Some((own.clone(), common.clone())));
}

pub(crate) fn shard() -> io::Result<Arc<Shard>> {
    SHARDS.with(|shards| {
        let (own, common) = shards.borrow().clone().expect("the model has entered");
        Ok(if own.is_closed() { common } else { own })
    })
}

pub(crate) fn ensure_driven() -> io::Result<()> {
    Ok(())
}

pub(crate) fn expect_wake(_waker: &Waker) {}
