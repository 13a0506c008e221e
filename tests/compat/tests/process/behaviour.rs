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

    // One child's output is the next one's input; and a pipe whose other end is kept by the program.
    let mut echo = sh("echo one; echo two").stdout(Stdio::piped()).spawn().unwrap();
    let stdout = echo.stdout.take().unwrap().into_stdio().await.unwrap();
    log!(sh("read line; echo $line; cat").stdin(stdout).output().await);
    log!(echo.status().await);
    let mut cat = sh("exec cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    log!(cat.stdin.as_mut().unwrap().write_all(&[b'x'; 100_000][..1000]).await);
    log!(cat.stdin.as_mut().unwrap().flush().await);
    log!(cat.stdin.as_mut().unwrap().close().await);
    // `output` closes what is left of the input.
    log!(cat.output().await.map(|output| output.stdout.len()));

    // A child that reads nothing, one that closes early, one that goes on after its output has ended.
    let mut deaf = sh("exec <&-; echo closed; exec sleep 60").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = [0; 7];
    log!(deaf.stdout.as_mut().unwrap().read_exact(&mut line).await);
    log!(deaf.stdin.as_mut().unwrap().write_all(&[0; 200_000]).await);
    log!(deaf.kill());
    log!(deaf.status().await);
    log!(sh("exec >&- 2>&-; sleep 0.05; exit 4").output().await);
    let mut ended = sh("echo last words").stdout(Stdio::piped()).spawn().unwrap();
    log!(ended.status().await);
    let mut text = String::new();
    log!(ended.stdout.as_mut().unwrap().read_to_string(&mut text).await);
    log!(ended.stdout.as_mut().unwrap().read(&mut [0; 8]).await);
    log.push(text);

    // What a command keeps, and what it is asked again.
    let mut again = sh("echo $A; pwd");
    again.env("A", "1").env("B", "2").env_remove("B").current_dir("/");
    log!(again.output().await);
    log!(again.env("A", "3").output().await);
    log.push(format!("{:?}", again.get_args().collect::<Vec<_>>()));
    log.push(format!("{:?}", again.get_envs().collect::<Vec<_>>()));
    log.push(format!("{:?} {:?}", again.get_current_dir(), again.get_program()));
    log!(sh("env").env_clear().env("ONLY", "this").output().await.map(|output| output.stdout.starts_with(b"ONLY=this\n")));
    log!(Command::from(std::process::Command::new("echo")).arg("from std").output().await);

    // Dropped handles: a killed child closes its pipe at once, one that is let go still writes.
    for kill in [true, false] {
        let mut dropped = sh("echo ready; read line; echo after").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(kill).spawn().unwrap();
        let (stdin, mut stdout) = (dropped.stdin.take(), dropped.stdout.take().unwrap());
        let mut line = [0; 6];
        log!(stdout.read_exact(&mut line).await);
        drop(dropped);
        if !kill {
            drop(stdin);
        }
        let mut rest = String::new();
        log!(stdout.read_to_string(&mut rest).await);
        log.push(rest);
    }
    let status = sh("exit 6").status();
    log!(status.await);
    let mut twice = sh("exit 7").spawn().unwrap();
    let (first, second) = (twice.status(), twice.status());
    log!(futures_lite::future::zip(first, second).await.0);
    log!(sh("id -u; id -g").uid(65534).gid(65534).output().await.map(|output| output.stdout));
    log
}
