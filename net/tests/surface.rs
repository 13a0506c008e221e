//! Goal: the public interface is a superset of async-net's.
//! Method: one list of every item with its signature and traits, compiled against async-net itself, which proves the list, and
//! against this crate.

use std::io;
use std::net::SocketAddr;

mod theirs {
    use super::*;
    use async_io::Async;
    use async_net as net;
    include!("surface/body.rs");
}

mod ours {
    use super::*;
    use smolkit_net as net;
    use smolkit_runtime::Async;
    include!("surface/body.rs");
}

#[test]
fn the_list_is_that_of_async_net() {
    theirs::check().unwrap();
}

#[test]
fn every_item_is_here() {
    ours::check().unwrap();
}
