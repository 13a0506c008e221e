//! Goal: `smolkit::fs` has every item of async-fs, with its signature, and does the same.
//! Method: the same two files compiled against both: one names every item, the other one logs what each operation returns.

macro_rules! subject {
    ($name:ident, $($path:tt)*) => {
        mod $name {
            use $($path)* as subject;
            include!("fs/items.rs");
            include!("fs/behaviour.rs");
        }
    };
}

subject!(ours, smolkit::fs);
subject!(theirs, async_fs);

#[test]
fn the_same_results() {
    let dir = std::env::temp_dir().join(format!("smolkit-compat-fs-{}", std::process::id()));
    let mut logs = Vec::new();
    for is_ours in [true, false] {
        // The same names for both, because messages and paths are compared.
        std::fs::create_dir(&dir).unwrap();
        logs.push(smolkit::block_on(async {
            if is_ours { ours::run(&dir).await } else { theirs::run(&dir).await }
        }));
        std::fs::remove_dir_all(&dir).unwrap();
    }
    assert!(logs[0].len() > 50);
    assert_eq!(logs[0], logs[1]);
}
