// Every item of async-process 2.5, with its traits: it only has to compile.

#[allow(dead_code, unused_must_use, clippy::let_underscore_future)]
fn items() {
    use std::ffi::OsStr;
    use std::os::fd::{AsFd, AsRawFd, OwnedFd};
    use subject::unix::CommandExt;

    fn auto<T: Send + Sync + Unpin + std::fmt::Debug + 'static>() {}
    fn end<T: AsFd + AsRawFd + TryInto<OwnedFd, Error = std::io::Error>>() {}
    fn read<T: futures_lite::AsyncRead>() {}
    fn write<T: futures_lite::AsyncWrite>() {}
    fn future<T>(_: impl Future<Output = std::io::Result<T>> + Send + 'static) {}

    auto::<subject::Command>();
    auto::<subject::Child>();
    auto::<subject::ChildStdin>();
    auto::<subject::ChildStdout>();
    auto::<subject::ChildStderr>();
    end::<subject::ChildStdin>();
    end::<subject::ChildStdout>();
    end::<subject::ChildStderr>();
    write::<subject::ChildStdin>();
    read::<subject::ChildStdout>();
    read::<subject::ChildStderr>();
    let _ = |stdin: subject::ChildStdin, stdout: subject::ChildStdout, stderr: subject::ChildStderr| {
        future::<subject::Stdio>(stdin.into_stdio());
        future::<subject::Stdio>(stdout.into_stdio());
        future::<subject::Stdio>(stderr.into_stdio());
    };
    let _ = |mut child: subject::Child| {
        let _: &Option<subject::ChildStdin> = &child.stdin;
        let _: &Option<subject::ChildStdout> = &child.stdout;
        let _: &Option<subject::ChildStderr> = &child.stderr;
        let _: u32 = child.id();
        let _: std::io::Result<()> = child.kill();
        let _: std::io::Result<Option<subject::ExitStatus>> = child.try_status();
        future::<subject::ExitStatus>(child.status());
        future::<subject::Output>(child.output());
    };
    let _ = || -> std::io::Error {
        let mut command = subject::Command::new("true");
        command.uid(1).gid(1).arg0("name").exec()
    };
    let _ = || {
        let mut command = subject::Command::from(std::process::Command::new("true"));
        let command: &mut subject::Command = command
            .arg("a")
            .args(["b"])
            .env("c", "d")
            .envs([("e", "f")])
            .env_remove("g")
            .env_clear()
            .current_dir("/")
            .stdin(subject::Stdio::null())
            .stdout(subject::Stdio::piped())
            .stderr(std::fs::File::open("/").unwrap())
            .reap_on_drop(true)
            .kill_on_drop(true);
        let _: std::process::CommandArgs<'_> = command.get_args();
        let _: std::process::CommandEnvs<'_> = command.get_envs();
        let _: Option<&std::path::Path> = command.get_current_dir();
        let _: &OsStr = command.get_program();
        let _: std::io::Result<subject::Child> = command.spawn();
        future::<subject::ExitStatus>(command.status());
        future::<subject::Output>(command.output());
    };
    fn driver(_: impl Future<Output = std::convert::Infallible> + Send + 'static) {}
    driver(subject::driver());
}
