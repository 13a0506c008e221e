//! What a source asks of the poller.

pub(crate) const TELLS_END: bool = true;
