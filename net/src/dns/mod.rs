//! Looking up names without blocking a thread: the resolver of the feature `dns`.
//!
//! ```
//! use smolkit_net::dns::Resolver;
//! # use smolkit_runtime as smolkit;
//!
//! smolkit::block_on(async {
//!     let resolver = Resolver::system();
//!     let addrs = resolver.lookup_ip("localhost").await?;
//!     assert!(addrs[0].is_loopback());
//!     std::io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! # Who uses it
//!
//! The feature changes nothing by itself: names still go to the system's `getaddrinfo`, which knows what else there is beside DNS (the modules of
//! `nsswitch.conf(5)`: mDNS, LDAP, systemd's own). A program that wants this resolver says so:
//!
//! - for all its names, once, at its beginning: `Resolver::system().install()?`;
//! - for one connector: [`TcpConnector::resolver`](crate::TcpConnector::resolver);
//! - for one name: the look-ups of [`Resolver`], which also find SRV, TXT, MX and PTR records.
//!
//! So a library that enables the feature for itself does not change how the rest of the program finds its hosts (Cargo enables features for all at once), and a program that
//! needs `getaddrinfo` keeps it.
//!
//! # What it does
//!
//! - The hosts file comes first, then `localhost` (RFC 6761), then the cache, then the servers in the order of `resolv.conf(5)`; one that did not answer is
//!   asked last for 30 s. Names are completed by `search` and `ndots`. Both files are read again when they have changed; new servers start with an empty cache.
//!   `LOCALDOMAIN`, `RES_OPTIONS` and `nsswitch.conf` are not looked at. A missing or empty `resolv.conf` means a server at 127.0.0.1.
//! - Each question has a random number, a random port and random case in the letters of its name; a reply that does not match server, number, port, question and class
//!   is not one, and one that is malformed or has the wrong case is asked for again over TCP. The same question is never under way twice. Of an answer only what was asked for is used and kept.
//! - A reply that is cut off is asked for again over TCP. A server that says SERVFAIL or the like, is silent, or cannot be reached makes place for the next one; one that
//!   does not know EDNS is asked without it.
//! - Servers may be asked over TLS (RFC 7858; `ResolverBuilder::tls_servers`, with the feature `tls`): then nothing goes out in plain text, one connection serves all questions to a server
//!   as long as it is in use, and questions are padded. The server may close it whenever it likes.
//! - Answers are kept for as long as they say, within limits: not at all with a time to live of 0 or of 2^31 s and more (RFC 2181 §8), and "there is none" only with an SOA
//!   record (RFC 2308).
//! - Beside what it does not read, it differs from glibc in this: `host.` with a dot at its end is found in the hosts file too, `127.1` and other old notations of numbers are no addresses,
//!   and all lines of the hosts file count, as with `multi on` in `host.conf`.
//! - There is no DNSSEC: who needs it runs a validating server on the same host.
//!
//! # Limits
//!
//! | what | default | set by |
//! |---|---|---|
//! | a whole look-up | 10 s | [`deadline`](ResolverBuilder::deadline) |
//! | a server's answer, for each of UDP and TCP, or over TLS with the handshake | 2 s, or `timeout:` in `resolv.conf` | [`timeout`](ResolverBuilder::timeout) |
//! | times that each server is asked | 2, or `attempts:` | [`attempts`](ResolverBuilder::attempts) |
//! | servers taken from `resolv.conf` | 8 | |
//! | search domains taken from `resolv.conf` | 32 | |
//! | dots that make a name complete | 1, or `ndots:` | [`ndots`](ResolverBuilder::ndots) |
//! | aliases (CNAME) on the way to an answer | 16 | |
//! | records kept of one answer | 256 | |
//! | answers in the cache, in the long run | 1,024 | [`cache_size`](ResolverBuilder::cache_size) |
//! | time that an answer is kept, at least | 0 s | [`min_ttl`](ResolverBuilder::min_ttl) |
//! | and at most | 86,400 s | [`max_ttl`](ResolverBuilder::max_ttl) |
//! | time that "there is none" is kept, at most | 300 s | [`max_negative_ttl`](ResolverBuilder::max_negative_ttl) |
//! | questions under way | 256 | [`in_flight_max`](ResolverBuilder::in_flight_max) |
//! | questions under way over TLS to one server | 256 | |
//! | a connection over TLS that is silent, and used again | 10 s; it is closed by the next question, or by the server | |
//! | time between looks at the files | 1 s | [`reload_interval`](ResolverBuilder::reload_interval) |
//! | wait for such a look, before what they said last is used | a twentieth of the deadline, at most 5 s | |
//! | `resolv.conf` | 64 KiB | |
//! | the hosts file | 16 MiB | |
//! | a datagram | 1,232 bytes (RFC 9715) | |
//! | wait for the second family once the first has answered | 1 s; 50 ms for IPv6 when a connector asks (RFC 8305 §3) | |

mod builder;
mod cache;
mod error;
mod exchange;
mod files;
mod hosts;
mod line;
mod metrics;
mod names;
mod order;
#[cfg(feature = "_tls")]
mod over_tls;
mod permits;
mod provider;
mod records;
mod resolv_conf;
mod resolver;
mod sift;
mod skim;
mod upstream;

pub use self::builder::ResolverBuilder;
pub use self::error::LookupError;
pub use self::metrics::Metrics;
pub use self::records::{Mx, Srv, Txt};
pub use self::resolver::Resolver;
