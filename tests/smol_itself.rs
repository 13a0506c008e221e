//! Goal: the list of `smol_api.rs` is one of smol's items, not of what we believe to be those.
//! Method: the same list, compiled against smol.

// Signatures are written out here: that is what the list is for.
#![allow(clippy::type_complexity)]

use ::smol;

include!("smol_api/list.rs");
