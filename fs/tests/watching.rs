//! Goal: what happens in a directory is told, in order and once; lost events, a lost directory and the system's limits are told, too.
//! Method: the same changes under inotify and under polling, and the queue of inotify overrun; each change waits until it was told.

mod support;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_lite::{FutureExt, StreamExt, future};
use smolkit_fs::{self as fs, WatchEvent, WatchOptions, Watcher};
use smolkit_runtime::Timer;
use support::{STEP_MAX, TempDir, alone, open_below, open_fds, pool_is_quiet, wait_until, within};

/// By the system, and by looking.
fn both() -> [WatchOptions; 2] {
    let mut polling = WatchOptions::new();
    polling.polling(Duration::from_millis(5));
    [WatchOptions::new(), polling]
}

async fn next(events: &mut Watcher) -> Option<io::Result<WatchEvent>> {
    let late = async {
        Timer::after(STEP_MAX).await;
        panic!("nothing is told")
    };
    events.next().or(late).await
}

/// The next one that is about more than a file's inside; those differ between the two.
async fn told(events: &mut Watcher) -> WatchEvent {
    loop {
        match next(events).await.expect("it goes on").expect("it works") {
            WatchEvent::Modified(_) | WatchEvent::Closed(_) | WatchEvent::Attributes(_) => {}
            event => return event,
        }
    }
}

/// All that comes until the entry `end` is made; what is told twice is dropped.
async fn until(events: &mut Watcher, end: &Path) -> Vec<WatchEvent> {
    std::fs::write(end, "").unwrap();
    let mut all = Vec::new();
    loop {
        let event = told(events).await;
        if event == WatchEvent::Created(end.to_owned()) {
            return all;
        }
        if !all.contains(&event) {
            all.push(event);
        }
    }
}

fn created(path: PathBuf) -> WatchEvent {
    WatchEvent::Created(path)
}

fn renamed(from: PathBuf, to: PathBuf) -> WatchEvent {
    WatchEvent::Renamed { from, to }
}

#[test]
fn files_in_a_directory() {
    for options in both() {
        let dir = TempDir::new();
        let (a, b) = (dir.join("a"), dir.join("b"));
        std::fs::create_dir(dir.join("sub")).unwrap();
        within(async {
            let mut events = options.watch(dir.join("")).await.unwrap();
            std::fs::write(&a, "one").unwrap();
            assert_eq!(told(&mut events).await, created(a.clone()));
            std::fs::write(&a, "three").unwrap();
            while next(&mut events).await.unwrap().unwrap() != WatchEvent::Modified(a.clone()) {}
            // One that no file has at first, whatever the umask.
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            std::fs::set_permissions(&a, mode).unwrap();
            while next(&mut events).await.unwrap().unwrap() != WatchEvent::Attributes(a.clone()) {}
            std::fs::rename(&a, &b).unwrap();
            assert_eq!(told(&mut events).await, renamed(a.clone(), b.clone()));
            // What is below is not watched.
            std::fs::write(dir.join("sub/file"), "").unwrap();
            std::fs::remove_file(&b).unwrap();
            assert_eq!(told(&mut events).await, WatchEvent::Removed(b));
        });
    }
}

#[test]
fn whole_trees() {
    for mut options in both() {
        let (dir, outside) = (TempDir::new(), TempDir::new());
        let at = |name: &str| dir.join(name);
        std::fs::create_dir_all(at("old/deep")).unwrap();
        within(async {
            let mut events = options.recursive(true).watch(at("")).await.unwrap();
            std::fs::write(at("old/deep/file"), "").unwrap();
            assert_eq!(told(&mut events).await, created(at("old/deep/file")));
            // Made before anybody could watch what they are in.
            std::fs::create_dir_all(at("new/a/b")).unwrap();
            std::fs::write(at("new/a/b/file"), "").unwrap();
            let all = until(&mut events, &at("zz-end1")).await;
            let expected =
                ["new", "new/a", "new/a/b", "new/a/b/file"].map(|name| created(at(name)));
            assert_eq!(all, expected);
            // Below another name, everything is told under it.
            std::fs::rename(at("new/a"), at("old/c")).unwrap();
            assert_eq!(told(&mut events).await, renamed(at("new/a"), at("old/c")));
            std::fs::write(at("old/c/b/other"), "").unwrap();
            assert_eq!(told(&mut events).await, created(at("old/c/b/other")));
            // Out, and in again.
            std::fs::rename(at("old/c"), outside.join("c")).unwrap();
            let removed = until(&mut events, &at("zz-end2")).await;
            assert!(removed.contains(&WatchEvent::Removed(at("old/c"))), "{removed:?}");
            std::fs::write(outside.join("c/b/unseen"), "").unwrap();
            std::fs::rename(outside.join("c"), at("back")).unwrap();
            let all = until(&mut events, &at("zz-end3")).await;
            assert_eq!(all[0], created(at("back")));
            for name in ["back/b", "back/b/file", "back/b/other", "back/b/unseen"] {
                assert!(all.contains(&created(at(name))), "{name}: {all:?}");
            }
            assert_eq!(all.len(), 5, "{all:?}");
            std::fs::remove_dir_all(at("back")).unwrap();
            let all = until(&mut events, &at("zz-end4")).await;
            assert_eq!(all.last(), Some(&WatchEvent::Removed(at("back"))));
            assert_eq!(all.len(), 5, "{all:?}");
        });
    }
}

#[test]
fn one_file_that_is_replaced() {
    for options in both() {
        let dir = TempDir::new();
        let (file, other) = (dir.join("config"), dir.join("other"));
        within(async {
            // It is not there yet.
            let mut events = options.watch(&file).await.unwrap();
            std::fs::write(&other, "nobody's business").unwrap();
            std::fs::write(&file, "one").unwrap();
            assert_eq!(told(&mut events).await, created(file.clone()));
            for _ in 0..3 {
                fs::write_atomic(&file, "two").await.unwrap();
                assert_eq!(told(&mut events).await, created(file.clone()));
            }
            std::fs::remove_file(&file).unwrap();
            assert_eq!(told(&mut events).await, WatchEvent::Removed(file));
        });
    }
}

#[test]
fn a_directory_that_goes_away() {
    for options in both() {
        for is_moved in [false, true] {
            let dir = TempDir::new();
            let watched = dir.join("watched");
            std::fs::create_dir(&watched).unwrap();
            within(async {
                let mut events = options.watch(&watched).await.unwrap();
                match is_moved {
                    true => std::fs::rename(&watched, dir.join("elsewhere")).unwrap(),
                    false => std::fs::remove_dir(&watched).unwrap(),
                }
                assert_eq!(told(&mut events).await, WatchEvent::Gone);
                assert!(next(&mut events).await.is_none());
                assert!(next(&mut events).await.is_none());
                let error = options.watch(watched.join("deeper")).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::NotFound);
                assert!(error.to_string().contains("watched"), "{error}");
            });
        }
    }
}

#[test]
fn dropped_calls_lose_nothing() {
    for options in both() {
        let dir = TempDir::new();
        within(async {
            let mut events = options.watch(dir.join("")).await.unwrap();
            // Where nobody tells, each one takes up to a second.
            let is_told = cfg!(all(target_os = "linux", not(smolkit_portable)));
            for i in 0..if is_told { 50 } else { 5 } {
                assert!(
                    future::poll_once(events.next())
                        .await
                        .is_none_or(|item| { !matches!(item, Some(Ok(WatchEvent::Created(_)))) })
                );
                let path = dir.join(i.to_string());
                std::fs::write(&path, "").unwrap();
                assert_eq!(told(&mut events).await, created(path));
            }
        });
    }
}

/// One directory takes another one's place before anybody has looked: each is watched where it is.
#[cfg(all(target_os = "linux", not(smolkit_portable)))]
#[test]
fn a_place_that_is_taken_again() {
    let (dir, outside) = (TempDir::new(), TempDir::new());
    let at = |name: &str| dir.join(name);
    for name in ["left", "left/deep", "swapped"] {
        std::fs::create_dir(at(name)).unwrap();
    }
    within(async {
        let mut events = WatchOptions::new().recursive(true).watch(at("")).await.unwrap();
        let mut written = async |path: &str| {
            std::fs::write(at(path), "").unwrap();
            while told(&mut events).await != created(at(path)) {}
        };
        // It went away, and there is a new one.
        std::fs::rename(at("left"), outside.join("left")).unwrap();
        std::fs::create_dir(at("left")).unwrap();
        written("end").await;
        // Long enough to be given up.
        Timer::after(Duration::from_millis(20)).await;
        written("other end").await;
        written("left/file").await;
        // It was renamed, and there is a new one.
        std::fs::rename(at("swapped"), at("former")).unwrap();
        std::fs::create_dir(at("swapped")).unwrap();
        written("swapped/file").await;
        written("former/file").await;
        // The same with one that nobody has seen yet.
        std::fs::create_dir(at("unseen")).unwrap();
        std::fs::rename(at("unseen"), at("seen")).unwrap();
        std::fs::create_dir(at("unseen")).unwrap();
        written("unseen/file").await;
        written("seen/file").await;
        // Outside, nothing is watched any more.
        std::fs::write(outside.join("left/deep/file"), "").unwrap();
        assert_eq!(until(&mut events, &at("last")).await, []);
    });
}

/// Where a directory was, a link is now: what it leads to is nobody's business.
#[cfg(all(target_os = "linux", not(smolkit_portable)))]
#[test]
fn a_link_takes_a_directorys_place() {
    let (dir, outside) = (TempDir::new(), TempDir::new());
    let link = dir.join("link");
    std::fs::create_dir(outside.join("sub")).unwrap();
    within(async {
        let mut events = WatchOptions::new().recursive(true).watch(dir.join("")).await.unwrap();
        std::fs::create_dir(&link).unwrap();
        std::fs::remove_dir(&link).unwrap();
        std::os::unix::fs::symlink(outside.join(""), &link).unwrap();
        let all = until(&mut events, &dir.join("end")).await;
        assert_eq!(all, [created(link.clone()), WatchEvent::Removed(link.clone())]);
        std::fs::write(outside.join("file"), "").unwrap();
        assert_eq!(until(&mut events, &dir.join("last")).await, []);
    });
}

/// Something was moved away just before the end: both are told.
#[cfg(all(target_os = "linux", not(smolkit_portable)))]
#[test]
fn moved_away_before_the_end() {
    let dir = TempDir::new();
    let watched = dir.join("watched");
    std::fs::create_dir(&watched).unwrap();
    std::fs::write(watched.join("file"), "").unwrap();
    within(async {
        let mut events = fs::watch(&watched).await.unwrap();
        std::fs::rename(watched.join("file"), dir.join("file")).unwrap();
        std::fs::remove_dir(&watched).unwrap();
        assert_eq!(told(&mut events).await, WatchEvent::Removed(watched.join("file")));
        assert_eq!(told(&mut events).await, WatchEvent::Gone);
        assert!(next(&mut events).await.is_none());
    });
}

/// The two halves of a renaming are one event, also if a read ends between them.
#[cfg(all(target_os = "linux", not(smolkit_portable)))]
#[test]
fn a_renaming_in_two_reads() {
    let dir = TempDir::new();
    let (a, b, c) = (dir.join("a"), dir.join("b"), dir.join("c"));
    for path in [&a, &b] {
        std::fs::write(path, "").unwrap();
    }
    within(async {
        // Each event has 32 bytes, so that one of these times the first half is the last that fits into 8 KiB.
        for events_before in 253..=257 {
            let mut events = fs::watch(dir.join("")).await.unwrap();
            for i in 0..events_before {
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                std::fs::set_permissions([&a, &b][i % 2], mode).unwrap();
            }
            std::fs::rename(&a, &c).unwrap();
            assert_eq!(told(&mut events).await, renamed(a.clone(), c.clone()));
            std::fs::rename(&c, &a).unwrap();
            assert_eq!(told(&mut events).await, renamed(c.clone(), a.clone()));
        }
    });
}

/// Makes more events than the system keeps; what happens after that is forgotten. `None` where that takes too long, or nobody tells.
#[cfg(target_os = "linux")]
fn overrun(dir: &Path) -> Option<()> {
    let limit = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    if limit > 100_000 || cfg!(smolkit_portable) {
        let _ = writeln!(io::stderr(), "not tested: a queue of {limit} events takes too long");
        return None;
    }
    // Two in turn, because the system tells only once what happens to the same one twice.
    let files = ["one", "two"].map(|name| {
        let path = dir.join(name);
        std::fs::write(&path, "").unwrap();
        path
    });
    for i in 0..=limit {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&files[i % 2], mode).unwrap();
    }
    Some(())
}

#[cfg(target_os = "linux")]
#[test]
fn more_than_the_system_remembers() {
    let (dir, outside) = (TempDir::new(), TempDir::new());
    std::fs::create_dir_all(dir.join("old/deep")).unwrap();
    std::fs::create_dir_all(dir.join("moved/deep")).unwrap();
    within(async {
        let mut options = WatchOptions::new();
        let mut events = options.recursive(true).watch(dir.join("")).await.unwrap();
        let Some(()) = overrun(&dir.join("")) else { return };
        // That all this happens is forgotten; what comes after it is not, and is told where it is.
        std::fs::create_dir(dir.join("new")).unwrap();
        std::fs::rename(dir.join("moved"), dir.join("new/moved")).unwrap();
        std::fs::rename(dir.join("old"), outside.join("old")).unwrap();
        while told(&mut events).await != WatchEvent::Overflow {}
        std::fs::write(outside.join("old/deep/unseen"), "").unwrap();
        std::fs::write(dir.join("new/moved/deep/file"), "").unwrap();
        assert_eq!(told(&mut events).await, created(dir.join("new/moved/deep/file")));
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_directory_whose_end_is_forgotten() {
    for is_recursive in [false, true] {
        for is_moved in [false, true] {
            let dir = TempDir::new();
            let watched = dir.join("watched");
            std::fs::create_dir(&watched).unwrap();
            within(async {
                let mut options = WatchOptions::new();
                let mut events = options.recursive(is_recursive).watch(&watched).await.unwrap();
                let Some(()) = overrun(&watched) else { return };
                match is_moved {
                    true => std::fs::rename(&watched, dir.join("elsewhere")).unwrap(),
                    false => std::fs::remove_dir_all(&watched).unwrap(),
                }
                // Another one in its place is not what was watched.
                std::fs::create_dir(&watched).unwrap();
                while told(&mut events).await != WatchEvent::Overflow {}
                assert_eq!(told(&mut events).await, WatchEvent::Gone);
                assert!(next(&mut events).await.is_none());
            });
        }
    }
}

#[test]
fn a_dropped_watcher_leaves_nothing() {
    // A watcher's descriptor has no path by which it could be told from those of other tests.
    alone("a_dropped_watcher_leaves_nothing", || {
        let dir = TempDir::new();
        std::fs::create_dir_all(dir.join("a/b")).unwrap();
        let watch_and_drop = |count| {
            for mut options in both() {
                options.recursive(true);
                within(async {
                    for polls in 0..count {
                        let mut watch = Box::pin(options.watch(dir.join("")));
                        for _ in 0..polls % 4 {
                            if let Some(events) = future::poll_once(&mut watch).await {
                                let mut events = events.unwrap();
                                let _ = future::poll_once(events.next()).await;
                                break;
                            }
                            future::yield_now().await;
                        }
                    }
                });
            }
        };
        let settled = || pool_is_quiet() && open_below(&dir) == 0;
        // What the runtime itself opens is there before.
        watch_and_drop(8);
        wait_until("the first ones are closed", settled);
        let before = open_fds();
        watch_and_drop(40);
        wait_until("all are closed", || settled() && open_fds() <= before);
    });
}
