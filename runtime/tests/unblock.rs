//! Goal: `Unblock` loses neither bytes nor errors, whatever is dropped, mixed or failing.
//! Method: readers, writers and iterators that a test controls through channels, and real files.

mod support;

use std::fs::File;
use std::future::Future;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use futures_lite::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, StreamExt, future};
use smolkit_runtime::{Unblock, block_on};
use support::{Random, TEST_MAX, rounds, wait_until, within};

/// A reader that gives what the test sends, and ends with it.
struct Fed(Receiver<io::Result<Vec<u8>>>, Vec<u8>);

impl Fed {
    fn new() -> (Sender<io::Result<Vec<u8>>>, Fed) {
        let (sender, receiver) = channel();
        (sender, Fed(receiver, Vec::new()))
    }
}

impl Read for Fed {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.1.is_empty() {
            let Ok(next) = self.0.recv() else { return Ok(0) };
            self.1 = next?;
        }
        let count = self.1.len().min(buf.len());
        buf[..count].copy_from_slice(&self.1[..count]);
        self.1.drain(..count);
        Ok(count)
    }
}

/// A writer that keeps what it gets, waits for the test's leave before every call, and fails when told so.
struct Gated {
    written: Arc<Mutex<Vec<u8>>>,
    flushes: Arc<AtomicUsize>,
    leave: Receiver<io::Result<()>>,
}

impl Gated {
    fn new() -> (Sender<io::Result<()>>, Gated) {
        let (sender, leave) = channel();
        (sender, Gated { written: Arc::default(), flushes: Arc::default(), leave })
    }
}

impl Write for Gated {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        // A sender that is gone lets all pass.
        self.leave.recv().unwrap_or(Ok(()))?;
        self.written.lock().unwrap().extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flushes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

fn scratch(name: &str) -> File {
    let path = std::env::temp_dir().join(format!("smolkit-{}-{name}", std::process::id()));
    let options = File::options().read(true).write(true).create(true).truncate(true).open(&path);
    std::fs::remove_file(&path).unwrap();
    options.unwrap()
}

/// Waits until a future has been polled once and says that it has to wait.
async fn begins<F: Future + Unpin>(future: &mut F) {
    assert!(future::poll_once(future).await.is_none());
}

#[test]
fn a_dropped_read_loses_nothing() {
    within(TEST_MAX, || {
        block_on(async {
            let (sender, reader) = Fed::new();
            let mut reader = Unblock::new(reader);
            let mut byte = [0];
            for round in 0..100u8 {
                let mut dropped = [9];
                begins(&mut reader.read(&mut dropped)).await;
                sender.send(Ok(vec![round])).unwrap();
                reader.read_exact(&mut byte).await.unwrap();
                assert_eq!((byte, dropped), ([round], [9]));
            }
            drop(sender);
            assert_eq!(reader.read(&mut byte).await.unwrap(), 0);
            assert_eq!(reader.read(&mut byte).await.unwrap(), 0);
        });
    });
}

#[test]
fn an_error_of_reading_comes_behind_its_bytes() {
    within(TEST_MAX, || {
        block_on(async {
            let (sender, reader) = Fed::new();
            let mut reader = Unblock::new(reader);
            sender.send(Ok(b"before".to_vec())).unwrap();
            sender.send(Err(io::Error::other("broken"))).unwrap();
            sender.send(Ok(b"after".to_vec())).unwrap();
            drop(sender);
            let mut buffer = [0; 6];
            reader.read_exact(&mut buffer).await.unwrap();
            assert_eq!(&buffer, b"before");
            assert_eq!(reader.read(&mut buffer).await.unwrap_err().to_string(), "broken");
            let mut rest = String::new();
            reader.read_to_string(&mut rest).await.unwrap();
            assert_eq!(rest, "after");
        });
    });
}

/// What is read ahead has a bound, and all of it arrives.
#[test]
fn reading_ahead_is_bounded() {
    struct Endless(Arc<AtomicUsize>);
    impl Read for Endless {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let start = self.0.fetch_add(buf.len(), Ordering::SeqCst);
            for (offset, byte) in buf.iter_mut().enumerate() {
                *byte = ((start + offset) % 251) as u8;
            }
            Ok(buf.len())
        }
    }
    within(TEST_MAX, || {
        block_on(async {
            let made = Arc::new(AtomicUsize::new(0));
            let mut reader = Unblock::with_capacity(1_000, Endless(made.clone()));
            let mut total = 0;
            let mut random = Random(7);
            for _ in 0..rounds(2_000, 200_000) {
                let mut buffer = [0; 300];
                let length = 1 + random.below(299);
                let count = reader.read(&mut buffer[..length]).await.unwrap();
                for byte in &buffer[..count] {
                    assert_eq!(usize::from(*byte), total % 251);
                    total += 1;
                }
                let ahead = made.load(Ordering::SeqCst) - total;
                assert!(ahead <= 3_000, "{ahead} bytes ahead");
            }
        });
    });
}

#[test]
fn an_error_of_writing_comes_out_once() {
    within(TEST_MAX, || {
        block_on(async {
            let (leave, writer) = Gated::new();
            let mut writer = Unblock::new(writer);
            writer.write_all(b"one").await.unwrap();
            leave.send(Err(io::Error::other("disk full"))).unwrap();
            assert_eq!(writer.flush().await.unwrap_err().to_string(), "disk full");
            writer.flush().await.unwrap();

            // Not even by somebody who asks for the value first.
            leave.send(Err(io::Error::other("again"))).unwrap();
            writer.write_all(b"two").await.unwrap();
            assert!(writer.get_mut().await.written.lock().unwrap().is_empty());
            assert_eq!(writer.close().await.unwrap_err().to_string(), "again");

            drop(leave);
            writer.write_all(b"three").await.unwrap();
            writer.close().await.unwrap();
            let error = writer.write_all(b"four").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
            writer.close().await.unwrap();
        });
    });
}

#[test]
fn writes_wait_for_room() {
    within(TEST_MAX, || {
        block_on(async {
            let (leave, writer) = Gated::new();
            let (written, flushes) = (writer.written.clone(), writer.flushes.clone());
            let mut writer = Unblock::with_capacity(8, writer);
            assert_eq!(writer.write(b"0123456789").await.unwrap(), 8);
            let mut second = writer.write(b"89");
            begins(&mut second).await;
            leave.send(Ok(())).unwrap();
            assert_eq!(second.await.unwrap(), 2);
            let mut flush = writer.flush();
            begins(&mut flush).await;
            assert_eq!(flushes.load(Ordering::SeqCst), 0);
            leave.send(Ok(())).unwrap();
            flush.await.unwrap();
            assert_eq!(written.lock().unwrap().as_slice(), b"0123456789");
            assert_eq!(flushes.load(Ordering::SeqCst), 1);
        });
    });
}

/// Bytes that were accepted are written though nobody is there any more.
#[test]
fn dropping_a_writer_writes_the_rest() {
    within(TEST_MAX, || {
        let (leave, writer) = Gated::new();
        let (written, flushes) = (writer.written.clone(), writer.flushes.clone());
        block_on(async {
            let mut writer = Unblock::new(writer);
            writer.write_all(b"accepted").await.unwrap();
            writer.write_all(b" and gone").await.unwrap();
        });
        drop(leave);
        wait_until("the rest is written", || flushes.load(Ordering::SeqCst) == 1);
        assert_eq!(written.lock().unwrap().as_slice(), b"accepted and gone");
    });
}

/// A value that goes in two directions: writing does not lose what was read ahead.
#[test]
fn writing_between_reads() {
    within(TEST_MAX, || {
        block_on(async {
            let (one, mut other) = UnixStream::pair().unwrap();
            let mut one = Unblock::new(one);
            other.write_all(b"abcdef").unwrap();
            let mut byte = [0];
            one.read_exact(&mut byte).await.unwrap();
            assert_eq!(&byte, b"a");
            // The job that reads ahead now waits in `read`; it must come back before there can be a write.
            let mut writing = one.write_all(b"x");
            begins(&mut writing).await;
            other.write_all(b"g").unwrap();
            writing.await.unwrap();
            one.flush().await.unwrap();
            other.read_exact(&mut byte).unwrap();
            assert_eq!(&byte, b"x");
            let mut rest = [0; 6];
            one.read_exact(&mut rest).await.unwrap();
            assert_eq!(&rest, b"bcdefg");
        });
    });
}

#[test]
fn seeking_knows_what_was_read_ahead() {
    within(TEST_MAX, || {
        block_on(async {
            let mut file = scratch("seek");
            file.write_all(&(0..=255).collect::<Vec<u8>>()).unwrap();
            file.rewind().unwrap();
            let mut file = Unblock::new(file);
            let mut byte = [0];
            file.read_exact(&mut byte).await.unwrap();
            assert_eq!(file.seek(SeekFrom::Current(0)).await.unwrap(), 1);
            file.read_exact(&mut byte).await.unwrap();
            assert_eq!(file.seek(SeekFrom::Current(9)).await.unwrap(), 11);
            file.read_exact(&mut byte).await.unwrap();
            assert_eq!(byte, [11]);
            assert_eq!(file.seek(SeekFrom::Current(-12)).await.unwrap(), 0);
            let error = file.seek(SeekFrom::Current(-1)).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            // Rewritten where one sees oneself.
            file.read_exact(&mut byte).await.unwrap();
            file.seek(SeekFrom::Current(0)).await.unwrap();
            file.write_all(b"!").await.unwrap();
            assert_eq!(file.seek(SeekFrom::End(0)).await.unwrap(), 256);
            file.seek(SeekFrom::Start(0)).await.unwrap();
            let mut all = Vec::new();
            file.read_to_end(&mut all).await.unwrap();
            assert_eq!(&all[..4], &[0, b'!', 2, 3]);
            // A seek that was dropped does not answer for another one.
            let _ = future::poll_once(file.seek(SeekFrom::Start(100))).await;
            assert_eq!(file.seek(SeekFrom::Start(7)).await.unwrap(), 7);
            file.read_exact(&mut byte).await.unwrap();
            assert_eq!(byte, [7]);
        });
    });
}

/// Random operations on a file and on a `Cursor` give the same.
#[test]
fn as_a_cursor() {
    within(TEST_MAX, || {
        let mut random = Random(0x5eed);
        for _ in 0..rounds(20, 400) {
            let mut model = Cursor::new(Vec::new());
            let mut file = Unblock::with_capacity(1 + random.below(200), scratch("model"));
            block_on(async {
                for _ in 0..40 {
                    match random.below(5) {
                        0 | 1 => {
                            // One position for both directions: see "Cancel safety".
                            file.seek(SeekFrom::Current(0)).await.unwrap();
                            let bytes = vec![random.below(256) as u8; random.below(300)];
                            file.write_all(&bytes).await.unwrap();
                            model.write_all(&bytes).unwrap();
                        }
                        2 => {
                            let length = random.below(300);
                            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
                            let mut limited = (&mut file).take(length as u64);
                            limited.read_to_end(&mut ours).await.unwrap();
                            Read::by_ref(&mut model)
                                .take(length as u64)
                                .read_to_end(&mut theirs)
                                .unwrap();
                            assert_eq!(ours, theirs);
                        }
                        3 => {
                            let to = SeekFrom::Start(random.below(1_000) as u64);
                            assert_eq!(file.seek(to).await.unwrap(), model.seek(to).unwrap());
                        }
                        _ => file.flush().await.unwrap(),
                    }
                }
                let mut file = file.into_inner().await;
                file.rewind().unwrap();
                let mut all = Vec::new();
                file.read_to_end(&mut all).unwrap();
                assert_eq!(&all, model.get_ref());
            });
        }
    });
}

#[test]
fn items_in_order_and_bounded() {
    within(TEST_MAX, || {
        block_on(async {
            let taken = Arc::new(AtomicUsize::new(0));
            let counter = taken.clone();
            let numbers = (0..).inspect(move |_| {
                counter.fetch_add(1, Ordering::SeqCst);
            });
            let mut numbers = Unblock::with_capacity(10, numbers);
            for expected in 0..1_000 {
                assert_eq!(numbers.next().await, Some(expected));
                assert!(taken.load(Ordering::SeqCst) <= expected + 21);
            }
            let mut few = Unblock::new(vec![Box::new(1), Box::new(2)].into_iter());
            assert_eq!((&mut few).map(|item| *item).collect::<Vec<i32>>().await, [1, 2]);
            assert_eq!(few.next().await, None);
        });
    });
}

#[test]
fn calls_on_the_value() {
    within(TEST_MAX, || {
        block_on(async {
            let mut list = Unblock::new(vec![1]);
            assert_eq!(list.with_mut(|list| list.len()).await, 1);
            // It runs though nobody waits for it.
            let (sender, receiver) = channel::<()>();
            {
                let call = list.with_mut(move |list| {
                    receiver.recv().unwrap();
                    list.push(2);
                });
                let mut call = Box::pin(call);
                begins(&mut call).await;
            }
            assert_eq!(format!("{list:?}"), "Unblock { io: <blocked> }");
            sender.send(()).unwrap();
            list.get_mut().await.push(3);
            assert_eq!(format!("{list:?}"), "Unblock { io: [1, 2, 3] }");
            assert_eq!(list.into_inner().await, [1, 2, 3]);
        });
    });
}

#[test]
fn a_panic_goes_to_its_caller() {
    struct Bomb;
    impl Read for Bomb {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("boom");
        }
    }
    impl Write for Bomb {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            panic!("boom");
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    within(TEST_MAX, || {
        let mut bomb = Unblock::new(Bomb);
        for _ in 0..2 {
            let read = catch_unwind(AssertUnwindSafe(|| block_on(bomb.read(&mut [0]))));
            assert!(read.is_err());
        }
        let mut bomb = Unblock::with_capacity(4, Bomb);
        let written = catch_unwind(AssertUnwindSafe(|| {
            block_on(async {
                bomb.write_all(b"more than there is room for").await?;
                bomb.flush().await
            })
        }));
        assert!(written.is_err());
    });
}
