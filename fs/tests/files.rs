//! Goal: files read, write and seek as `std::fs`'s do, with read-ahead and writes behind, cancelled operations included.
//! Method: the same random operations on one file of ours and one of std's; and single cases.

mod support;

use std::fs::Permissions;
use std::future::Future;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use futures_lite::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, StreamExt, future};
use smolkit_fs::{self as fs, File, OpenOptions};
use smolkit_runtime::unblock;
use support::{TempDir, pattern, rounds, wait_until, within};

/// A small generator of pseudo-random numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }
}

#[test]
fn the_same_as_std() {
    let dir = TempDir::new();
    for seed in 1..=rounds(20, 500) {
        let (ours, theirs) = (dir.join("ours"), dir.join("theirs"));
        std::fs::write(&ours, pattern(300_000)).unwrap();
        std::fs::copy(&ours, &theirs).unwrap();
        let mut options = std::fs::OpenOptions::new();
        let mut theirs = options.read(true).write(true).open(theirs).unwrap();
        let mut random = Random(seed as u64);
        within(async {
            let mut options = OpenOptions::new();
            let mut ours = options.read(true).write(true).open(&ours).await.unwrap();
            for _ in 0..200 {
                step(&mut random, &mut ours, &mut theirs).await;
            }
            ours.flush().await.unwrap();
        });
        let (ours, theirs) =
            (std::fs::read(ours).unwrap(), std::fs::read(dir.join("theirs")).unwrap());
        assert!(ours == theirs, "seed {seed}");
    }
}

async fn step(random: &mut Random, ours: &mut File, theirs: &mut std::fs::File) {
    let length = [1, 10, 5_000, 70_000][random.below(4)];
    match random.below(10) {
        0..4 => {
            let (mut read, mut expected) = (vec![0; length], vec![0; length]);
            // A read that is dropped loses nothing.
            let _ = future::poll_once(ours.read(&mut [])).await;
            let count = theirs.read(&mut expected).unwrap();
            let mut filled = 0;
            while filled < count {
                let part = ours.read(&mut read[filled..count]).await.unwrap();
                assert!(part > 0, "{filled} of {count}");
                filled += part;
            }
            assert!(read[..count] == expected[..count]);
        }
        4..7 => {
            let bytes = vec![random.below(256) as u8; length];
            theirs.write_all(&bytes).unwrap();
            ours.write_all(&bytes).await.unwrap();
        }
        7 => {
            let to = match random.below(3) {
                0 => SeekFrom::Start(random.below(400_000) as u64),
                1 => SeekFrom::End(-(random.below(1_000) as i64)),
                _ => SeekFrom::Current(random.below(1_000) as i64 - 500),
            };
            let (result, expected) = (ours.seek(to).await, theirs.seek(to));
            assert_eq!(
                result.map_err(|error| error.kind()),
                expected.map_err(|error| error.kind())
            );
        }
        8 => {
            let position = ours.seek(SeekFrom::Current(0)).await.unwrap();
            assert_eq!(position, theirs.stream_position().unwrap());
        }
        _ => {
            let size = random.below(400_000) as u64;
            ours.set_len(size).await.unwrap();
            theirs.set_len(size).unwrap();
        }
    }
}

#[test]
fn cancelled_reads_and_seeks() {
    let dir = TempDir::new();
    let bytes = pattern(1 << 20);
    std::fs::write(dir.join("file"), &bytes).unwrap();
    within(async {
        let mut file = File::open(dir.join("file")).await.unwrap();
        let mut read = Vec::new();
        let mut random = Random(7);
        while read.len() < bytes.len() {
            if random.below(4) == 0 {
                // On its way to a thread, and dropped there.
                let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
            }
            let mut buffer = vec![0; [100, 20_000][random.below(2)]];
            match future::poll_once(file.read(&mut buffer)).await {
                Some(count) => read.extend_from_slice(&buffer[..count.unwrap()]),
                // A task that has done enough for one turn is not served until its next one.
                None => future::yield_now().await,
            }
        }
        assert!(read == bytes);
        let _ = future::poll_once(file.seek(SeekFrom::End(-10))).await;
        assert_eq!(file.seek(SeekFrom::Start(3)).await.unwrap(), 3);
        let _ = future::poll_once(file.seek(SeekFrom::End(-10))).await;
        assert_eq!(file.seek(SeekFrom::End(-5)).await.unwrap(), (bytes.len() - 5) as u64);
        let mut rest = Vec::new();
        file.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, bytes[bytes.len() - 5..]);
    });
}

#[test]
fn a_dropped_file_is_written_to_its_end() {
    let dir = TempDir::new();
    let bytes = pattern(3 << 20);
    let path = dir.join("file");
    within(async {
        let mut file = File::create(&path).await.unwrap();
        file.write_all(&bytes).await.unwrap();
    });
    wait_until("the rest is written", || {
        std::fs::metadata(&path).unwrap().len() == bytes.len() as u64
    });
    assert!(std::fs::read(&path).unwrap() == bytes);
}

#[test]
fn written_at_once_without_a_flush() {
    let dir = TempDir::new();
    let path = dir.join("log");
    within(async {
        let mut file = OpenOptions::new().append(true).create(true).open(&path).await.unwrap();
        for i in 1..=3 {
            file.write_all(b"line\n").await.unwrap();
            wait_until("the line is there", || std::fs::metadata(&path).unwrap().len() == 5 * i);
        }
    });
}

#[test]
fn a_failed_write_is_told_once() {
    within(async {
        let mut full = OpenOptions::new().write(true).open("/dev/full").await.unwrap();
        for sync in [false, true] {
            full.write_all(b"lost").await.unwrap();
            let told = if sync { full.sync_all().await } else { full.flush().await };
            assert_eq!(told.unwrap_err().kind(), io::ErrorKind::StorageFull);
            full.flush().await.unwrap();
        }
        full.write_all(b"lost").await.unwrap();
        assert_eq!(full.close().await.unwrap_err().kind(), io::ErrorKind::StorageFull);
        full.write_all(b"lost").await.unwrap();
        assert_eq!(full.into_std().await.unwrap_err().kind(), io::ErrorKind::StorageFull);

        // Without a flush, the next write that comes after the failure tells.
        let mut full = OpenOptions::new().write(true).open("/dev/full").await.unwrap();
        let error = loop {
            if let Err(error) = full.write(b"lost").await {
                break error;
            }
            future::yield_now().await;
        };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);

        let mut read_only = File::open("Cargo.toml").await.unwrap();
        read_only.write_all(b"lost").await.unwrap();
        assert_eq!(read_only.flush().await.unwrap_err().raw_os_error(), Some(9), "EBADF");
    });
}

#[test]
fn at_positions() {
    let dir = TempDir::new();
    within(async {
        let mut options = OpenOptions::new();
        let file =
            options.read(true).write(true).create(true).open(dir.join("file")).await.unwrap();
        assert_eq!(file.write_at(b"world", 6).await.unwrap(), 5);
        assert_eq!(file.write_at(b"hello ", 0).await.unwrap(), 6);
        let mut buffer = [0; 20];
        let (a, b) = {
            let (left, right) = buffer.split_at_mut(5);
            future::zip(file.read_at(left, 0), file.read_at(right, 6)).await
        };
        assert_eq!((a.unwrap(), b.unwrap(), &buffer[..10]), (5, 5, &b"helloworld"[..]));
        assert_eq!(file.read_at(&mut buffer, 100).await.unwrap(), 0);
        assert!(file.read_at(&mut buffer, u64::MAX).await.is_err());
        assert_eq!(file.into_std().await.unwrap().stream_position().unwrap(), 0);
    });
}

#[test]
fn given_back_at_the_same_position() {
    let dir = TempDir::new();
    std::fs::write(dir.join("file"), pattern(100_000)).unwrap();
    within(async {
        let open = || File::open(dir.join("file"));
        let mut file = open().await.unwrap();
        // The second one reads ahead.
        file.read_exact(&mut [0; 10]).await.unwrap();
        file.read_exact(&mut [0; 10]).await.unwrap();
        let mut file = file.into_std().await.unwrap();
        assert_eq!(file.stream_position().unwrap(), 20);
        let mut next = [0; 10];
        file.read_exact(&mut next).unwrap();
        assert_eq!(next, pattern(30)[20..]);

        // Of a read that nobody waits for any more, nothing was handed out.
        for _ in 0..50 {
            let mut file = open().await.unwrap();
            let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
            let read = future::poll_once(file.read(&mut [0; 10])).await;
            let read = read.map_or(0, |count| count.unwrap() as u64);
            assert_eq!(file.into_std().await.unwrap().stream_position().unwrap(), read);
        }
    });
}

#[test]
fn a_write_at_a_position_comes_after_those_before() {
    let dir = TempDir::new();
    let last = (1 << 20) - 1;
    within(async {
        for _ in 0..20 {
            let mut file = File::create(dir.join("file")).await.unwrap();
            file.write_all(&pattern(last + 1)).await.unwrap();
            file.write_at(b"!", last as u64).await.unwrap();
            file.flush().await.unwrap();
            assert_eq!(std::fs::read(dir.join("file")).unwrap()[last], b'!');
        }
        let mut full = OpenOptions::new().write(true).open("/dev/full").await.unwrap();
        full.write_all(b"lost").await.unwrap();
        let error = full.write_at(b"", 0).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    });
}

/// They are called by the job that writes: it goes on, and the others are woken.
#[test]
fn wakers_that_panic() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("as intended");
        }
    }
    let dir = TempDir::new();
    let panics = Waker::from(Arc::new(Panics));
    within(async {
        let mut file = File::create(dir.join("file")).await.unwrap();
        for _ in 0..20 {
            file.write_all(&pattern(400_000)).await.unwrap();
            let _ = pin!(file.flush()).poll(&mut Context::from_waker(&panics));
            file.flush().await.unwrap();
        }
        assert_eq!(file.metadata().await.unwrap().len(), 20 * 400_000);
    });
}

#[test]
fn whole_files() {
    let dir = TempDir::new();
    within(async {
        for length in [0, 1, 4096, 100_000, (1 << 20) - 1, 1 << 20, 3 << 20] {
            let bytes = pattern(length);
            let path = dir.join("file");
            fs::write(&path, &bytes).await.unwrap();
            // The first time asks what kind of filesystem it is.
            for _ in 0..3 {
                assert!(fs::read(&path).await.unwrap() == bytes, "{length}");
            }
            assert!(fs::read_within(&path, length).await.unwrap() == bytes);
            if length > 0 {
                let error = fs::read_within(&path, length - 1).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
            }
        }
        // No size, and no cached reads.
        let status = fs::read_to_string("/proc/self/status").await.unwrap();
        assert!(status.contains("Pid:") && status.contains("Threads:"));
        fs::write(dir.join("bytes"), b"\xff").await.unwrap();
        let error = fs::read_to_string(dir.join("bytes")).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let error = fs::read_to_string_within(dir.join("bytes"), 1).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let error = fs::read_to_string_within(dir.join("bytes"), 0).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        for _ in 0..3 {
            assert_eq!(
                fs::read(dir.join("missing")).await.unwrap_err().kind(),
                io::ErrorKind::NotFound
            );
            assert_eq!(
                fs::read(dir.join("")).await.unwrap_err().kind(),
                io::ErrorKind::IsADirectory
            );
            assert_eq!(
                fs::read("nul\0byte").await.unwrap_err().kind(),
                io::ErrorKind::InvalidInput
            );
            assert!(fs::metadata("nul\0byte").await.is_err());
        }
    });
}

/// To open a FIFO, even for a moment, would be seen by who opens its other end.
#[test]
fn a_fifo_is_waited_for() {
    let dir = TempDir::new();
    let path = dir.join("fifo");
    let mode = rustix::fs::Mode::from(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    within(async {
        fs::metadata(&path).await.unwrap();
        fs::metadata(&path).await.unwrap();
        let mut open = Box::pin(File::open(path.clone()));
        assert!(future::poll_once(&mut open).await.is_none(), "nobody has the other end yet");
        let writer = std::thread::spawn(move || {
            let mut writer = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            writer.write_all(b"through").unwrap();
        });
        let mut text = String::new();
        open.await.unwrap().read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "through");
        writer.join().unwrap();
    });
}

#[test]
fn whole_directories() {
    let dir = TempDir::new();
    within(async {
        for i in 0..300 {
            std::fs::write(dir.join(i.to_string()), "").unwrap();
        }
        std::os::unix::fs::symlink("nowhere", dir.join("link")).unwrap();
        let mut entries = fs::read_dir(dir.join("")).await.unwrap();
        let mut names = Vec::new();
        while let Some(entry) = entries.next().await {
            let entry = entry.unwrap();
            let is_link = entry.file_name() == "link";
            assert_eq!(entry.file_type().await.unwrap().is_symlink(), is_link);
            assert_eq!(entry.metadata().await.unwrap().is_symlink(), is_link);
            names.push(entry.file_name());
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 301);
        assert!(entries.next().await.is_none());
        assert_eq!(
            fs::read_dir(dir.join("link")).await.unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    });
}

#[test]
fn atomic_writes() {
    let dir = TempDir::new();
    let path = dir.join("file");
    within(async {
        fs::write_atomic(&path, "one").await.unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).await.unwrap();
        fs::write_atomic(&path, pattern(1 << 20)).await.unwrap();
        assert!(fs::read(&path).await.unwrap() == pattern(1 << 20));
        assert_eq!(fs::metadata(&path).await.unwrap().mode() & 0o777, 0o600);
        // Only root may give files away.
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(1000), Some(1001)).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o4640)).unwrap();
            fs::write_atomic(&path, "theirs").await.unwrap();
            let found = std::fs::metadata(&path).unwrap();
            assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (1000, 1001, 0o4640));
        }
        // A directory cannot be replaced; nothing is left behind.
        std::fs::create_dir(dir.join("dir")).unwrap();
        assert!(fs::write_atomic(dir.join("dir"), "").await.is_err());
        assert_eq!(
            fs::write_atomic("/", "").await.unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        assert_eq!(std::fs::read_dir(dir.join("")).unwrap().count(), 2);
    });
}

#[test]
fn copies_of_single_files() {
    let dir = TempDir::new();
    let (file, copy, fifo) = (dir.join("file"), dir.join("copy"), dir.join("fifo"));
    std::fs::write(&file, pattern(100_000)).unwrap();
    let mode = rustix::fs::Mode::from(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    std::fs::hard_link(&file, dir.join("other name")).unwrap();
    within(async {
        assert_eq!(fs::copy(&file, &copy).await.unwrap(), 100_000);
        assert!(std::fs::read(&copy).unwrap() == pattern(100_000));
        // Onto itself it would be emptied before it is read; a FIFO would be waited for.
        for (from, to) in [(&file, &file), (&file, &dir.join("other name")), (&fifo, &copy)] {
            let error = fs::copy(from, to).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        }
        assert!(std::fs::read(&file).unwrap() == pattern(100_000));
        assert!(std::fs::read(&copy).unwrap() == pattern(100_000));
        let missing = fs::copy(dir.join("missing"), &copy).await.unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    });
}

#[test]
fn locks() {
    let dir = TempDir::new();
    let path = dir.join("file");
    within(async {
        let (a, b) = (File::create(&path).await.unwrap(), File::create(&path).await.unwrap());
        let alone = a.lock().await.unwrap();
        assert_eq!(b.try_lock().await.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(b.try_lock_shared().await.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let mut waiting = Box::pin(b.lock_shared());
        assert!(future::poll_once(&mut waiting).await.is_none());
        drop(alone);
        let shared = waiting.await.unwrap();
        let also = a.try_lock_shared().await.unwrap();
        drop((shared, also));
        // Given up half-way: nobody keeps it.
        let _ = future::poll_once(b.lock()).await;
        drop(a.lock().await.unwrap());
    });
}

#[test]
fn on_another_executor() {
    let bytes = futures_executor::block_on(fs::read("Cargo.toml")).unwrap();
    assert!(bytes.starts_with(b"[package]"));
}

/// A read that nobody waits for any more keeps a thread, but neither writes nor the end of the file.
#[test]
fn a_fifo_is_written_to_while_a_read_waits() {
    let dir = TempDir::new();
    let path = dir.join("fifo");
    let mode = rustix::fs::Mode::from(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    within(async {
        let mut options = OpenOptions::new();
        let mut fifo = options.read(true).write(true).open(&path).await.unwrap();
        let mut read = [0; 5];
        for _ in 0..3 {
            assert!(future::poll_once(fifo.read(&mut read)).await.is_none(), "it is empty");
            fifo.write_all(b"hello").await.unwrap();
            fifo.flush().await.unwrap();
            fifo.read_exact(&mut read).await.unwrap();
            assert_eq!(read, *b"hello");
        }
        assert!(future::poll_once(fifo.read(&mut read)).await.is_none(), "it is empty");
        let mut fifo = fifo.into_std().await.unwrap();
        // So that the thread leaves.
        fifo.write_all(b"hello").unwrap();
    });
}

/// Stops the reader also when the test fails, or the runtime could not end.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A task that always finds its file in the page cache leaves the only worker to others.
#[test]
fn cached_reads_let_others_have_their_turn() {
    let dir = TempDir::new();
    std::fs::write(dir.join("file"), pattern(1 << 20)).unwrap();
    let runtime = smolkit_runtime::Runtime::builder().workers(1).build().unwrap();
    for kind in 0..5 {
        let path = dir.join("file");
        let is_over = Arc::new(AtomicBool::new(false));
        let (seen, _stop) = (is_over.clone(), Stop(is_over.clone()));
        let reader = runtime.spawn(async move {
            let mut file = File::open(&path).await.unwrap();
            let mut buffer = vec![0; 64 << 10];
            while !seen.load(Ordering::SeqCst) {
                match kind {
                    0 => drop(fs::metadata(&path).await.unwrap()),
                    // Not all of it, where the rest is not cached any more.
                    1 => assert!(file.read_at(&mut buffer, 5).await.unwrap() > 0),
                    2 => assert_eq!(fs::read(&path).await.unwrap().len(), 1 << 20),
                    3 => {
                        file.read_exact(&mut buffer[..10]).await.unwrap();
                        file.seek(SeekFrom::Start(0)).await.unwrap();
                    }
                    _ => {
                        if file.read(&mut buffer).await.unwrap() == 0 {
                            file.seek(SeekFrom::Start(0)).await.unwrap();
                        }
                    }
                }
            }
        });
        within(runtime.spawn(async move {
            // Started behind the reader; it has to come round some times.
            for _ in 0..100 {
                future::yield_now().await;
            }
            is_over.store(true, Ordering::SeqCst);
        }));
        within(reader);
    }
}

/// A read that waits costs its task nothing, however large it may become: what stands beside it goes on.
#[cfg(target_os = "linux")]
#[test]
fn reads_that_wait_beside_each_other() {
    let dir = TempDir::new();
    let pipes = ["silent", "talking"].map(|name| dir.join(name));
    for pipe in &pipes {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    }
    // Both ends of each, so that nobody waits for the other one to open it.
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true);
    let [silent, talking] = pipes.map(|pipe| options.open(pipe).unwrap());
    let (mut last_word, mut writer) = (silent.try_clone().unwrap(), talking.try_clone().unwrap());
    within(async move {
        let (mut silent, mut talking) = (File::from(silent), File::from(talking));
        let (mut one, mut other) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        let reads = future::or(silent.read(&mut one), talking.read(&mut other));
        let speak = async {
            unblock(move || writer.write_all(b"three")).await.unwrap();
            future::pending().await
        };
        assert_eq!(future::or(reads, speak).await.unwrap(), 5);
        // Ends the job that still reads.
        unblock(move || last_word.write_all(b"x")).await.unwrap();
    });
}

/// What a task does with files goes on beside something that leaves it no budget in any turn.
#[test]
fn beside_something_that_never_waits() {
    let dir = TempDir::new();
    let path = dir.join("file");
    std::fs::write(&path, pattern(1 << 20)).unwrap();
    let greedy = async {
        let (file, mut buffer) = (File::open(&path).await.unwrap(), vec![0; 4096]);
        loop {
            file.read_at(&mut buffer, 0).await.unwrap();
        }
    };
    let modest = async {
        let mut buffer = vec![0; 4096];
        for _ in 0..10 {
            let mut file = OpenOptions::new().read(true).write(true).open(&path).await.unwrap();
            file.read_exact(&mut buffer).await.unwrap();
            file.seek(SeekFrom::Start(7)).await.unwrap();
            file.write_all(&buffer).await.unwrap();
            file.flush().await.unwrap();
            fs::metadata(&path).await.unwrap();
            assert_eq!(fs::read_dir(dir.join("")).await.unwrap().count().await, 1);
            assert_eq!(fs::walk(dir.join("")).count().await, 2);
        }
    };
    within(future::or(greedy, modest));
}
