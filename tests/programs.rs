//! Goal: programs as people write them for smol run on smolkit, with nothing changed but the name.
//! Method: small ones of each kind (a chat server, a crawler, a ticker, Ctrl-C, a Unix signal, timerfd and inotify), run to their end.

use smolkit as smol;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use smol::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use smol::stream::StreamExt;
use smol::{Async, Executor, Task, Timer, future};

/// Runs a program on a thread of its own, with a deadline.
fn within<T: Send + 'static>(program: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let _ = sender.send(program());
    });
    match receiver.recv_timeout(Duration::from_secs(120)) {
        Ok(output) => output,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("the program does not end"),
        Err(_) => std::panic::resume_unwind(thread.join().expect_err("it has sent nothing")),
    }
}

// ---- a chat server ----

type Clients = Arc<Mutex<HashMap<SocketAddr, Arc<Async<TcpStream>>>>>;

async fn broadcast(clients: &Clients, from: SocketAddr, line: &str) {
    let others: Vec<_> = {
        let clients = clients.lock().unwrap();
        clients.iter().filter(|(addr, _)| **addr != from).map(|(_, io)| io.clone()).collect()
    };
    for other in others {
        // Who has gone does not hear it.
        let _ = (&*other).write_all(format!("{line}\n").as_bytes()).await;
    }
}

async fn serve(clients: Clients, stream: Arc<Async<TcpStream>>, addr: SocketAddr) {
    let mut lines = BufReader::new(&*stream).lines();
    let Some(Ok(name)) = lines.next().await else { return };
    clients.lock().unwrap().insert(addr, stream.clone());
    broadcast(&clients, addr, &format!("{name} is here")).await;
    // The last of it: who is welcome has been announced to those who were there.
    let _ = (&*stream).write_all(b"welcome\n").await;
    while let Some(Ok(line)) = lines.next().await {
        broadcast(&clients, addr, &format!("{name}: {line}")).await;
    }
    clients.lock().unwrap().remove(&addr);
    broadcast(&clients, addr, &format!("{name} has left")).await;
}

struct Chatter(BufReader<Async<TcpStream>>);

impl Chatter {
    async fn join(addr: SocketAddr, name: &str) -> io::Result<Chatter> {
        let mut chatter = Chatter(BufReader::new(Async::<TcpStream>::connect(addr).await?));
        chatter.say(name).await?;
        chatter.hears("welcome").await?;
        Ok(chatter)
    }

    async fn say(&mut self, line: &str) -> io::Result<()> {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).await
    }

    async fn hears(&mut self, expected: &str) -> io::Result<()> {
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        assert_eq!(line.trim_end(), expected);
        Ok(())
    }
}

#[test]
fn a_chat() {
    within(|| {
        smol::block_on(async {
            let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0))?;
            let addr = listener.get_ref().local_addr()?;
            let clients = Clients::default();
            let server: Task<io::Result<()>> = smol::spawn(async move {
                loop {
                    let (stream, addr) = listener.accept().await?;
                    smol::spawn(serve(clients.clone(), Arc::new(stream), addr)).detach();
                }
            });
            let mut ann = Chatter::join(addr, "Ann").await?;
            let mut bob = Chatter::join(addr, "Bob").await?;
            ann.hears("Bob is here").await?;
            ann.say("good morning").await?;
            bob.hears("Ann: good morning").await?;
            let mut eve = Chatter::join(addr, "Eve").await?;
            ann.hears("Eve is here").await?;
            bob.hears("Eve is here").await?;
            bob.say("hello both").await?;
            ann.hears("Bob: hello both").await?;
            eve.hears("Bob: hello both").await?;
            drop(bob);
            ann.hears("Bob has left").await?;
            eve.hears("Bob has left").await?;
            server.cancel().await;
            io::Result::Ok(())
        })
        .unwrap();
    });
}

// ---- a crawler: tasks that find more tasks, no more than a few requests at a time ----

const SITE: &[(&str, &str)] = &[
    ("/", "/a /b /missing"),
    ("/a", "/b /c"),
    ("/b", "/ /c /d"),
    ("/c", ""),
    ("/d", "/d /e"),
    ("/e", "/a"),
];

async fn answer(stream: Async<TcpStream>) -> io::Result<()> {
    let mut reader = BufReader::new(&stream);
    let mut request = String::new();
    reader.read_line(&mut request).await?;
    let path = request.split(' ').nth(1).unwrap_or("/");
    let body = SITE.iter().find(|(name, _)| *name == path).map(|(_, links)| *links);
    let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
    let body = body.unwrap_or_default();
    let head =
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    (&stream).write_all((head + body).as_bytes()).await?;
    stream.get_ref().shutdown(std::net::Shutdown::Write)
}

/// A page's path and its links.
type Page = (String, Vec<String>);

async fn fetch(addr: SocketAddr, path: String) -> io::Result<Page> {
    let mut stream = Async::<TcpStream>::connect(addr).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n").as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    let (head, body) = response.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(io::Error::other(format!("{path}: {}", head.lines().next().unwrap_or(""))));
    }
    Ok((path, body.split_whitespace().map(String::from).collect()))
}

#[test]
fn a_crawler() {
    const AT_A_TIME: usize = 3;
    let (found, failed) = within(|| {
        let executor = Executor::new();
        smol::block_on(executor.run(async {
            let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
            let addr = listener.get_ref().local_addr().unwrap();
            let server = executor.spawn(async move {
                let mut incoming = Box::pin(listener.incoming());
                while let Some(Ok(stream)) = incoming.next().await {
                    answer(stream).await.unwrap();
                }
            });
            let mut seen = BTreeSet::from(["/".to_string()]);
            let mut queue = vec!["/".to_string()];
            let (mut found, mut failed) = (BTreeMap::new(), Vec::new());
            let mut running: Vec<Task<io::Result<Page>>> = Vec::new();
            while !queue.is_empty() || !running.is_empty() {
                while running.len() < AT_A_TIME {
                    let Some(path) = queue.pop() else { break };
                    running.push(executor.spawn(fetch(addr, path)));
                }
                // Whichever is done first.
                let (index, result) = future::poll_fn(|cx| {
                    for (index, task) in running.iter_mut().enumerate() {
                        if let std::task::Poll::Ready(result) = future::FutureExt::poll(task, cx) {
                            return std::task::Poll::Ready((index, result));
                        }
                    }
                    std::task::Poll::Pending
                })
                .await;
                drop(running.swap_remove(index));
                match result {
                    Err(error) => failed.push(error.to_string()),
                    Ok((path, links)) => {
                        queue.extend(
                            links.iter().filter(|link| seen.insert((*link).clone())).cloned(),
                        );
                        found.insert(path, links.len());
                    }
                }
            }
            server.cancel().await;
            (found, failed)
        }))
    });
    assert_eq!(failed, ["/missing: HTTP/1.1 404 Not Found"]);
    let expected =
        SITE.iter().map(|(path, links)| (path.to_string(), links.split_whitespace().count()));
    assert_eq!(found, expected.collect());
}

// ---- a ticker ----

#[test]
fn a_ticker() {
    within(|| {
        smol::block_on(async {
            let start = Instant::now();
            let period = Duration::from_millis(3);
            let ticks: Vec<Instant> = Timer::interval(period).take(5).collect().await;
            for (index, tick) in ticks.iter().enumerate() {
                assert!(*tick >= start + period * (index as u32 + 1));
            }
            assert!(ticks.windows(2).all(|pair| pair[1] - pair[0] == period));
            // What does not come in time is given up.
            let late = future::or(future::pending(), async {
                Timer::after(period).await;
                "too late"
            });
            assert_eq!(late.await, "too late");
        });
    });
}

// ---- signals, by the pipe trick ----

#[test]
fn a_unix_signal() {
    within(|| {
        smol::block_on(async {
            let (sender, mut receiver) = Async::<UnixStream>::pair()?;
            let sender = sender.into_inner()?;
            signal_hook::low_level::pipe::register(signal_hook::consts::SIGUSR2, sender)?;
            for _ in 0..3 {
                signal_hook::low_level::raise(signal_hook::consts::SIGUSR2)?;
                receiver.read_exact(&mut [0]).await?;
            }
            io::Result::Ok(())
        })
        .unwrap();
    });
}

/// Ctrl-C ends the work, not the program: in a child, which this test interrupts.
#[test]
fn ctrl_c() {
    const CHILD: &str = "SMOLKIT_TEST_CTRL_C";
    if std::env::var_os(CHILD).is_some() {
        smol::block_on(async {
            let (sender, mut receiver) = Async::<UnixStream>::pair().unwrap();
            let sender = sender.into_inner().unwrap();
            signal_hook::low_level::pipe::register(signal_hook::consts::SIGINT, sender).unwrap();
            smol::Unblock::new(io::stdout()).write_all(b"working\n").await.unwrap();
            let working = async {
                loop {
                    Timer::after(Duration::from_millis(1)).await;
                }
            };
            let interrupted = async {
                receiver.read_exact(&mut [0]).await.unwrap();
            };
            future::or(working, interrupted).await;
            let mut stdout = smol::Unblock::new(io::stdout());
            stdout.write_all(b"cleaned up\n").await.unwrap();
            stdout.flush().await.unwrap();
        });
        return;
    }
    within(|| {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "ctrl_c", "--nocapture"])
            .env(CHILD, "1")
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let output = Async::new(child.stdout.take().unwrap()).unwrap();
        let mut lines = BufReader::new(output).lines();
        smol::block_on(async {
            let mut wait_for = async |wanted: &str| loop {
                let line = lines.next().await.expect("the child goes on talking").unwrap();
                if line.ends_with(wanted) {
                    break;
                }
            };
            wait_for("working").await;
            let pid = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
            wait_for("cleaned up").await;
            while let Some(line) = lines.next().await {
                line.unwrap();
            }
        });
        assert!(child.wait().unwrap().success());
    });
}

// ---- descriptors of Linux ----

#[cfg(target_os = "linux")]
mod linux {
    use rustix::fs::inotify;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };

    use super::*;

    #[test]
    fn a_timerfd() {
        within(|| {
            smol::block_on(async {
                let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
                let timer = Async::new(timer)?;
                let start = Instant::now();
                let tick = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };
                let times = Itimerspec { it_interval: tick, it_value: tick };
                timerfd_settime(timer.get_ref(), TimerfdTimerFlags::empty(), &times)?;
                let mut ticks = 0;
                while ticks < 5 {
                    let mut count = [0; 8];
                    timer.read_with(|fd| Ok(rustix::io::read(fd, &mut count)?)).await?;
                    ticks += u64::from_ne_bytes(count);
                    assert!(start.elapsed() >= Duration::from_millis(2) * ticks as u32);
                }
                // By hand: a wait, then a read.
                timer.readable().await?;
                assert_eq!(rustix::io::read(timer.get_ref(), &mut [0; 8])?, 8);
                io::Result::Ok(())
            })
            .unwrap();
        });
    }

    #[test]
    fn inotify_events() {
        within(|| {
            let folder =
                std::env::temp_dir().join(format!("smolkit-inotify-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            smol::block_on(async {
                let watcher = Async::new(inotify::init(inotify::CreateFlags::CLOEXEC)?)?;
                inotify::add_watch(
                    watcher.get_ref(),
                    &folder,
                    inotify::WatchFlags::CREATE | inotify::WatchFlags::DELETE,
                )?;
                let file = folder.join("file");
                let writer = smol::unblock({
                    let file = file.clone();
                    move || std::fs::write(&file, "x").and_then(|()| std::fs::remove_file(&file))
                });
                let mut names = Vec::new();
                while names.len() < 2 {
                    let mut buffer = [std::mem::MaybeUninit::uninit(); 1_024];
                    let events = watcher.read_with(|fd| {
                        let mut reader = inotify::Reader::new(fd, &mut buffer);
                        let mut events = Vec::new();
                        loop {
                            let event = reader.next()?;
                            events.push((
                                event.events(),
                                event.file_name().map(|name| name.to_owned()),
                            ));
                            if reader.is_buffer_empty() {
                                return Ok(events);
                            }
                        }
                    });
                    names.extend(events.await?);
                }
                writer.await?;
                assert!(names[0].0.contains(inotify::ReadFlags::CREATE));
                assert!(names[1].0.contains(inotify::ReadFlags::DELETE));
                assert!(names.iter().all(|(_, name)| name.as_deref() == Some(c"file")));
                io::Result::Ok(())
            })
            .unwrap();
            std::fs::remove_dir_all(folder).unwrap();
        });
    }
}
