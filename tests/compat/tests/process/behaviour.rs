// What each operation returns, as text.

pub(crate) async fn run() -> Vec<String> {
    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    use subject::unix::CommandExt;
    use subject::{Command, Stdio};

    let mut log = Vec::new();
    macro_rules! log {
        ($what:expr) => {{
            let shown = $what.map_err(|error| (error.kind(), error.raw_os_error()));
            log.push(format!("{}: {shown:?}", stringify!($what)));
        }};
    }
    let sh = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    };
    log.push(format!("{:?}", sh("exit 3")));
    log!(sh("exit 3").status().await);
    log!(sh("kill -9 $$").status().await);
    log!(sh("echo out; echo err >&2; exit 1").output().await);
    log!(sh("cat").output().await);
    log!(sh("echo $0 $A").env("A", "value").arg0("name").output().await);
    log!(sh("pwd").current_dir("/").output().await);
    log!(sh("echo quiet").stdout(Stdio::null()).output().await);
    log!(Command::new("/does/not/exist").status().await);
    log!(Command::new("/does/not/exist").output().await);
    log!(Command::new("/").spawn().map(drop));
    log!(Command::new("nul\0byte").spawn().map(drop));
    log!(sh("true").current_dir("/does/not/exist").spawn().map(drop));

    let mut child = sh("read line; echo $line; exec cat >&2");
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    log!(child.try_status());
    log!(child.stdin.as_mut().unwrap().write_all(b"one\ntwo\n").await);
    let mut line = [0; 4];
    log!(child.stdout.as_mut().unwrap().read_exact(&mut line).await);
    log.push(format!("{line:?}"));
    log!(child.output().await);

    let mut child = sh("exec sleep 60").stdin(Stdio::piped()).spawn().unwrap();
    log!(child.kill());
    log!(child.status().await);
    log!(child.kill());
    log!(child.try_status());
    log!(child.status().await);
    log.push(format!("{:?} {:?}", child.stdin.is_some(), child.stdout.is_some()));
    log
}
