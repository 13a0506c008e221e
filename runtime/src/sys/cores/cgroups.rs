//! How much processor time the control groups of this process allow, in processors (cgroups(7)).
//!
//! The least of what the process's own group and those above it may use counts, rounded down. Files are read as bytes, without the standard library's paths and
//! readers, which are what makes its own look so large.

use rustix::fs::{Mode, OFlags, open};
use rustix::io::read;

/// `root` is put before every path: nothing, but in tests.
pub(super) fn quota(root: &[u8]) -> usize {
    let Some(text) = file(&[root, b"/proc/self/cgroup"]) else { return usize::MAX };
    match group(&text) {
        Some((Version::Two, group)) => {
            least(&joined(&[root, b"/sys/fs/cgroup"]), group, Version::Two)
        }
        Some((Version::One, group)) => {
            for mount in [&b"/sys/fs/cgroup/cpu"[..], b"/sys/fs/cgroup/cpu,cpuacct"] {
                let mount = joined(&[root, mount]);
                if exists(&[&mount, group]) {
                    return least(&mount, group, Version::One);
                }
            }
            let Some(mounts) = file(&[root, b"/proc/self/mountinfo"]) else { return usize::MAX };
            match mounted(&mounts, group) {
                Some((mount, group)) => least(&joined(&[root, mount]), group, Version::One),
                None => usize::MAX,
            }
        }
        None => usize::MAX,
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Version {
    One,
    Two,
}

/// The group of this process, from /proc/self/cgroup. Where there are both versions, the first one has the say if it has the controller.
fn group(text: &[u8]) -> Option<(Version, &[u8])> {
    let mut found = None;
    for line in text.split(|&byte| byte == b'\n') {
        let mut fields = line.splitn(3, |&byte| byte == b':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        if has_cpu(controllers) {
            return Some((Version::One, path));
        }
        if controllers.is_empty() {
            found = Some((Version::Two, path));
        }
    }
    found
}

fn has_cpu(list: &[u8]) -> bool {
    list.split(|&byte| byte == b',').any(|item| item == b"cpu")
}

/// Where the first version's hierarchy is, and the group's path in it, from /proc/self/mountinfo: a container may see a part of it.
fn mounted<'t>(text: &'t [u8], group: &'t [u8]) -> Option<(&'t [u8], &'t [u8])> {
    text.split(|&byte| byte == b'\n').find_map(|line| {
        let mut fields = line.split(|&byte| byte == b' ');
        let (top, mount) = (fields.nth(3)?, fields.next()?);
        // After a field of its own, "-": type, source, options.
        fields.find(|&field| field == b"-")?;
        if fields.next()? != b"cgroup" || !has_cpu(fields.nth(1)?) {
            return None;
        }
        let top = if top == b"/" { b"" } else { top };
        Some((mount, group.strip_prefix(top)?))
    })
}

/// The least that the group and those above it allow.
fn least(mount: &[u8], mut group: &[u8], version: Version) -> usize {
    let mut least = u64::MAX;
    loop {
        let (limit, period) = match version {
            Version::Two => {
                let text = file(&[mount, group, b"/cpu.max"]).unwrap_or_default();
                let mut words = text.split(|byte| byte.is_ascii_whitespace());
                (words.next().and_then(number), words.next().and_then(number))
            }
            Version::One => {
                let of = |name: &[u8]| {
                    file(&[mount, group, name]).and_then(|text| number(text.trim_ascii()))
                };
                (of(b"/cpu.cfs_quota_us"), of(b"/cpu.cfs_period_us"))
            }
        };
        // "max", and -1, are no numbers: no limit.
        if let (Some(limit), Some(period @ 1..)) = (limit, period) {
            least = least.min(limit / period);
        }
        match group.iter().rposition(|&byte| byte == b'/') {
            Some(end) => group = &group[..end],
            None => return least.try_into().unwrap_or(usize::MAX),
        }
    }
}

fn number(text: &[u8]) -> Option<u64> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let add = |sum: u64, byte| sum.checked_mul(10)?.checked_add(digit(byte)?);
    if text.is_empty() { None } else { text.iter().try_fold(0, add) }
}

fn exists(path: &[&[u8]]) -> bool {
    rustix::fs::access(joined(path), rustix::fs::Access::EXISTS).is_ok()
}

#[inline(never)]
fn joined(path: &[&[u8]]) -> Vec<u8> {
    path.concat()
}

fn file(path: &[&[u8]]) -> Option<Vec<u8>> {
    let file = open(joined(path), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let (mut text, mut filled) = (Vec::new(), 0);
    loop {
        text.resize(filled + 4096, 0);
        match read(&file, &mut text[filled..]).ok()? {
            0 => break,
            count => filled += count,
        }
    }
    text.truncate(filled);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_standard_library() {
        let expected = std::thread::available_parallelism().unwrap().get();
        assert_eq!(super::super::linux::count(), expected);
    }

    #[test]
    fn groups() {
        assert_eq!(group(b"0::/user.slice/a:b\n"), Some((Version::Two, &b"/user.slice/a:b"[..])));
        let both = b"3:cpu,cpuacct:/one\n2:cpuset:/other\n0::/two\n";
        assert_eq!(group(both), Some((Version::One, &b"/one"[..])));
        assert_eq!(group(b"2:cpuset:/other\n\n"), None);
    }

    #[test]
    fn mounts() {
        let text = b"25 30 0:23 / /sys rw - sysfs sysfs rw\n\
            33 24 0:28 /docker/ab /sys/fs/cpu,cpuacct ro shared:9 - cgroup cgroup rw,cpu,cpuacct\n";
        let found = mounted(text, b"/docker/ab/inner");
        assert_eq!(found, Some((&b"/sys/fs/cpu,cpuacct"[..], &b"/inner"[..])));
        assert_eq!(mounted(text, b"/docker/x"), None);
    }

    /// A tree of files in a folder of its own.
    struct Tree(std::path::PathBuf);

    impl Tree {
        fn new(name: &str, files: &[(&str, &str)]) -> Tree {
            let name = format!("smolkit-cgroups-{name}-{}", std::process::id());
            let tree = Tree(std::env::temp_dir().join(name));
            for (path, text) in files {
                let path = tree.0.join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            tree
        }

        fn quota(&self) -> usize {
            quota(self.0.to_str().unwrap().as_bytes())
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_least_of_all_groups_above_counts() {
        let tree = Tree::new(
            "two",
            &[
                ("proc/self/cgroup", "0::/pod/container\n"),
                ("sys/fs/cgroup/pod/cpu.max", "250000 100000\n"),
                ("sys/fs/cgroup/pod/container/cpu.max", "max 100000\n"),
            ],
        );
        assert_eq!(tree.quota(), 2);
        let unlimited = Tree::new("none", &[("proc/self/cgroup", "0::/\n")]);
        assert_eq!(unlimited.quota(), usize::MAX);
    }

    #[test]
    fn the_first_version() {
        let group = ("proc/self/cgroup", "4:cpu,cpuacct:/a/b\n0::/\n");
        let usual = Tree::new(
            "usual",
            &[
                group,
                ("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n"),
                ("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n"),
                ("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "300000\n"),
                ("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"),
            ],
        );
        assert_eq!(usual.quota(), 3);
        let elsewhere = Tree::new(
            "elsewhere",
            &[
                group,
                ("proc/self/mountinfo", "1 2 0:1 /a /cg rw - cgroup none rw,cpu\n"),
                ("cg/b/cpu.cfs_quota_us", "400000\n"),
                ("cg/b/cpu.cfs_period_us", "100000\n"),
            ],
        );
        assert_eq!(elsewhere.quota(), 4);
    }
}
