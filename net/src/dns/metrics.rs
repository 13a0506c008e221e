//! What a resolver has done.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a resolver has done since it was made; see [`Resolver::metrics`](super::Resolver::metrics).
///
/// # Examples
///
/// ```
/// # use smolkit_runtime as smolkit;
#[doc = include_str!("example_server.md")]
/// # let resolver = resolver(&[192, 0, 2, 1])?;
///
/// smolkit::block_on(async {
///     resolver.a("example.org").await?;
///     resolver.a("example.org").await?;
///     assert_eq!(resolver.metrics().cache_hits, 1);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Questions answered from the cache.
    pub cache_hits: u64,
    /// Questions that joined one under way.
    pub shared: u64,
    /// Datagrams sent to servers, repetitions included.
    pub sent: u64,
    /// Questions sent over TCP.
    pub sent_over_tcp: u64,
    /// Questions sent over TLS.
    pub sent_over_tls: u64,
    /// Connections begun for them.
    pub tls_connections: u64,
    /// Exchanges with a server that brought no usable answer.
    pub failures: u64,
    /// Times that a changed `resolv.conf` or hosts file was taken over.
    pub reloads: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    cache_hits: AtomicU64,
    shared: AtomicU64,
    sent: AtomicU64,
    sent_over_tcp: AtomicU64,
    sent_over_tls: AtomicU64,
    tls_connections: AtomicU64,
    failures: AtomicU64,
    reloads: AtomicU64,
}

macro_rules! counters {
    ($($name:ident),*) => {
        impl Counters {
            // Without TLS nobody counts what goes over it.
            $(#[allow(dead_code)]
            pub(super) fn $name(&self) {
                self.$name.fetch_add(1, Ordering::SeqCst);
            })*

            pub(super) fn read(&self) -> Metrics {
                Metrics { $($name: self.$name.load(Ordering::SeqCst)),* }
            }
        }
    };
}

counters!(
    cache_hits,
    shared,
    sent,
    sent_over_tcp,
    sent_over_tls,
    tls_connections,
    failures,
    reloads
);
