//! The deadlines and limits of a server, and their defaults.

use std::time::Duration;

/// A head that is larger is answered with 431; it is also the size to which hyper's buffers of a connection grow.
pub(super) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// HTTP/2: requests of one connection at a time.
pub(super) const STREAMS_MAX: u32 = 200;
/// HTTP/2: the size of a request's headers, uncompressed.
pub(super) const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;
/// HTTP/2: streams that the client has reset before they were accepted (CVE-2023-44487).
pub(super) const PENDING_RESETS_MAX: usize = 20;
/// HTTP/2: streams that we have reset because of the client's errors (CVE-2025-8671).
pub(super) const LOCAL_RESETS_MAX: usize = 1024;
/// HTTP/2: what one stream may have waiting to be sent.
pub(super) const SEND_BUFFER_BYTES_MAX: usize = 400 * 1024;

#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) first_byte: Duration,
    pub(super) header: Duration,
    pub(super) stall: Duration,
    pub(super) idle: Duration,
    pub(super) drain: Duration,
    pub(super) connections_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            first_byte: Duration::from_secs(10),
            header: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            // Kubernetes kills 30 s after SIGTERM.
            drain: Duration::from_secs(25),
            connections_max: 25_000,
        }
    }
}
