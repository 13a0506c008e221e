//! Goal: all that a child writes arrives, a child that does not read is an error and not the end, and limits hold (FAULTS P5).
//! Method: children that write 10 MiB to both outputs, or close their ends early.

mod support;

use std::io;
use std::process::Stdio;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt, future};
use smolkit_process::{Command, Line, OutputError, OutputLimits, Pipeline};
use support::within;

const MIB: usize = 1 << 20;

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn ten_mebibytes_on_both_outputs() {
    let script = "head -c 10485760 /dev/zero & head -c 10485760 /dev/zero | tr '\\0' x >&2; wait";
    let output = within(sh(script).output()).unwrap();
    assert!(output.status.success());
    assert_eq!((output.stdout.len(), output.stderr.len()), (10 * MIB, 10 * MIB));
    assert!(output.stdout == vec![0; 10 * MIB]);
    assert!(output.stderr == vec![b'x'; 10 * MIB]);
}

#[test]
fn ten_mebibytes_through_cat() {
    // A length that no buffer's is a multiple of.
    let sent = (0..251).collect::<Vec<u8>>().repeat(10 * MIB / 251);
    let mut child =
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    within(async {
        let mut received = vec![0; sent.len()];
        let write = async {
            stdin.write_all(&sent).await?;
            drop(stdin);
            io::Result::Ok(())
        };
        future::try_zip(write, stdout.read_exact(&mut received)).await.unwrap();
        assert_eq!(stdout.read(&mut [0]).await.unwrap(), 0);
        assert!(received == sent);
        assert!(child.status().await.unwrap().success());
    });
}

/// More room for busy pipes, and no more than the limit's worth of them.
#[cfg(target_os = "linux")]
#[test]
fn a_busy_pipe_gets_more_room() {
    let size =
        |pipe: &dyn std::os::fd::AsFd| rustix::pipe::fcntl_getpipe_size(pipe.as_fd()).unwrap();
    const ROOM: usize = 256 << 10;
    // A user's pipes share a limit, and with others' beyond it the system refuses.
    let is_allowed = || {
        let pipes = [0; 2].map(|_| rustix::pipe::pipe().unwrap());
        pipes.iter().all(|(end, _)| rustix::pipe::fcntl_setpipe_size(end, ROOM).is_ok())
    };
    let start = std::time::Instant::now();
    within(async {
        let mut rounds = vec![(1000, false), (2 * MIB, true)];
        while let Some((length, is_busy)) = rounds.pop() {
            let mut child = Command::new("cat");
            let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let (mut stdin, mut stdout) =
                (child.stdin.take().unwrap(), child.stdout.take().unwrap());
            let before = (size(&stdin), size(&stdout));
            let (sent, mut received) = (vec![7; length], vec![0; length]);
            future::try_zip(stdin.write_all(&sent), stdout.read_exact(&mut received))
                .await
                .unwrap();
            assert!(received == sent);
            let after = (size(&stdin), size(&stdout));
            if !is_busy {
                assert_eq!(after, before);
            } else if after != (ROOM, ROOM) {
                assert!([before.0, ROOM].contains(&after.0), "{before:?}, {after:?}");
                assert!([before.1, ROOM].contains(&after.1), "{before:?}, {after:?}");
                if is_allowed() {
                    // Others may have given theirs back just now.
                    assert!(start.elapsed() < support::STEP_MAX / 2, "{before:?}, {after:?}");
                    rounds.push((length, is_busy));
                }
            }
            drop(stdin);
            assert!(child.status().await.unwrap().success());
        }
    });
}

#[test]
fn a_child_that_closes_its_input() {
    let mut child = sh("exec <&-; echo closed; exec sleep 600")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    within(async {
        assert_eq!(child.lines().next().await.unwrap().unwrap(), Line::Stdout("closed".into()));
        let error = stdin.write_all(&[0; MIB]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_child_that_dies_while_we_write() {
    let mut child = Command::new("sleep").arg("600").stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    within(async {
        // More than the pipe holds: the write waits, until the kill.
        let write = stdin.write_all(&[0; MIB]);
        let kill = async {
            future::yield_now().await;
            child.kill()
        };
        let (written, killed) = future::zip(write, kill).await;
        killed.unwrap();
        assert_eq!(written.expect_err("nobody reads").kind(), io::ErrorKind::BrokenPipe);
        assert!(!child.status().await.unwrap().success());
    });
}

#[test]
fn small_pieces_arrive_one_by_one() {
    let mut child =
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    within(async {
        for i in 0..200u8 {
            stdin.write_all(&[i]).await.unwrap();
            let mut buffer = [0; 64];
            assert_eq!(stdout.read(&mut buffer).await.unwrap(), 1);
            assert_eq!(buffer[0], i);
        }
        drop(stdin);
        assert_eq!(stdout.read(&mut [0; 64]).await.unwrap(), 0);
    });
}

#[test]
fn limits_hold() {
    within(async {
        let limits = OutputLimits::new().stdout_bytes_max(100).stderr_bytes_max(10);
        let mut fits = sh("head -c 100 /dev/zero; head -c 10 /dev/zero >&2");
        let output = fits.output_within(&limits).await.unwrap();
        assert_eq!((output.stdout.len(), output.stderr.len()), (100, 10));

        let error = sh("head -c 101 /dev/zero; exec sleep 600").output_within(&limits).await;
        assert!(matches!(error, Err(OutputError::StdoutTooLong { bytes_max: 100 })), "{error:?}");
        let error = sh("head -c 11 /dev/zero >&2; exec sleep 600").output_within(&limits).await;
        assert!(matches!(error, Err(OutputError::StderrTooLong { bytes_max: 10 })), "{error:?}");

        let limits = limits.timeout(Duration::from_millis(50));
        let error = Command::new("sleep").arg("600").output_within(&limits).await.unwrap_err();
        assert!(matches!(error, OutputError::TimedOut { .. }));
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::TimedOut);
        let error = Command::new("/does/not/exist").output_within(&limits).await.unwrap_err();
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotFound);
    });
}

/// A child that ends at once, and leaves one that keeps the pipe open: the deadline holds all the same, and ends that one as well if it is in the child's group.
#[test]
fn what_a_child_leaves_behind() {
    within(async {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let mut command = sh("sleep 600 & echo started");
        command.new_group(true).fd(3, writer);
        let limits = OutputLimits::new().timeout(Duration::from_millis(50));
        let error = command.output_within(&limits).await.unwrap_err();
        assert!(matches!(error, OutputError::TimedOut { .. }), "{error}");
        drop(command);
        // Its other end is closed when the last one that has it has ended.
        let end = smolkit_runtime::unblock(move || rustix::io::read(reader, &mut [0; 1]));
        assert_eq!(end.await.unwrap(), 0);
    });
}

#[test]
fn lines_of_both_outputs() {
    within(async {
        let mut child = sh("printf 'one\\r\\ntwo\\n'; printf 'x\\377\\nlast' >&2")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines: Vec<_> = child.lines().collect().await;
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        for line in lines {
            match line {
                Ok(Line::Stdout(line)) => stdout.push(line),
                Ok(Line::Stderr(line)) => stderr.push(Ok(line)),
                Err(error) => stderr.push(Err(error.kind())),
            }
        }
        assert_eq!(stdout, ["one", "two"]);
        assert_eq!(stderr, [Err(io::ErrorKind::InvalidData), Ok("last".to_owned())]);

        // Too long by one, and just not.
        let mut child = sh("head -c 1048577 /dev/zero; echo; echo next; head -c 1048576 /dev/zero")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = child.lines();
        let kind = lines.next().await.unwrap().map(drop).map_err(|error| error.kind());
        assert_eq!(kind, Err(io::ErrorKind::InvalidData));
        assert_eq!(lines.next().await.unwrap().unwrap(), Line::Stdout("next".into()));
        let Line::Stdout(long) = lines.next().await.unwrap().unwrap() else { panic!("stdout") };
        assert_eq!(long.len(), MIB);
        assert!(lines.next().await.is_none());
    });
}

#[test]
fn pipelines() {
    within(async {
        let pipeline = Pipeline::new(sh("head -c 10485760 /dev/zero"))
            .pipe(Command::new("cat"))
            .pipe(sh("wc -c; exit 3"));
        let output = pipeline.output().await.unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "10485760");
        assert_eq!(
            output.statuses.iter().map(|status| status.code()).collect::<Vec<_>>(),
            [Some(0), Some(0), Some(3)]
        );

        // The first one is ended by the second one's going.
        let output =
            Pipeline::new(Command::new("yes")).pipe(sh("read line")).output().await.unwrap();
        assert!(output.statuses[1].success() && !output.statuses[0].success());

        let missing = Pipeline::new(Command::new("yes")).pipe(Command::new("/does/not/exist"));
        let error = missing.output().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("number 2"), "{error}");
    });
}

/// Ends of pipes that only we have: the first one's input ends, and what they say beside fits or not.
#[test]
fn pipelines_with_pipes_to_us() {
    within(async {
        let mut first = sh("cat; head -c 300000 /dev/zero | tr '\\0' 1 >&2");
        first.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut last = sh("cat; head -c 300000 /dev/zero | tr '\\0' 3 >&2");
        last.stderr(Stdio::piped());
        let output = Pipeline::new(first).pipe(sh("echo 2")).pipe(last).output().await.unwrap();
        assert!(output.success(), "{:?}", output.statuses);
        assert_eq!(output.stdout, b"2\n");
        let said: Vec<_> = output.stderrs.iter().map(|said| (said.len(), said.first())).collect();
        assert_eq!(said, [(300_000, Some(&b'1')), (0, None), (300_000, Some(&b'3'))]);
    });
}

#[test]
fn on_another_executor() {
    let output = futures_executor::block_on(Command::new("echo").arg("hello").output()).unwrap();
    assert_eq!(output.stdout, b"hello\n");
}

#[test]
fn stdio_from_one_child_to_the_next() {
    within(async {
        let mut echo = Command::new("echo").arg("hello").stdout(Stdio::piped()).spawn().unwrap();
        let stdout = echo.stdout.take().unwrap().into_stdio().await.unwrap();
        let output = Command::new("cat").stdin(stdout).output().await.unwrap();
        assert_eq!(output.stdout, b"hello\n");
        assert!(echo.status().await.unwrap().success());
    });
}
