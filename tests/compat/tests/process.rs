//! Goal: `smolkit::process` has every item of async-process, with its signature, and does the same.
//! Method: the same two files compiled against both: one names every item, the other one logs what each operation returns.

macro_rules! subject {
    ($name:ident, $($path:tt)*) => {
        mod $name {
            use $($path)* as subject;
            include!("process/items.rs");
            include!("process/behaviour.rs");
        }
    };
}

subject!(ours, smolkit::process);
subject!(theirs, async_process);

#[test]
fn the_same_results() {
    let ours = smolkit::block_on(ours::run());
    assert!(ours.len() > 10);
    assert_eq!(ours, smolkit::block_on(theirs::run()));
}
