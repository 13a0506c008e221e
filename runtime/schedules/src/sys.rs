//! What a worker needs of the system.

pub(crate) mod slack {
    pub(crate) fn reduce() {}
}

pub(crate) mod cores {
    pub(crate) fn parallelism() -> usize {
        2
    }
}
