//! Goal: a large future needs no large stack (FAULTS R19).
//! Method: one of 1 MiB in `block_on`, on threads of 2 MiB, in a debug build too.

mod support;

use std::thread;

use smolkit_runtime::block_on;
use support::{STEP_MAX, within};

const STACK: usize = 2 << 20;
const FUTURE: usize = 1 << 20;

/// Holds 1 MiB across a wait.
async fn large() -> u8 {
    let bytes = [1; FUTURE];
    futures_lite::future::yield_now().await;
    bytes[0] + bytes[FUTURE - 1]
}

#[test]
fn a_mebibyte_in_block_on() {
    within(STEP_MAX, || {
        let thread = thread::Builder::new().stack_size(STACK);
        let sum = thread.spawn(|| block_on(large())).unwrap().join().unwrap();
        assert_eq!(sum, 2);
    });
}
