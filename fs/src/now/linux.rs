//! The promises of Linux: `openat2(2)`'s `RESOLVE_CACHED`, `preadv2(2)`'s `RWF_NOWAIT`.

use std::fs::{File, Metadata};
use std::io::{self, IoSliceMut, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{LazyLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::{Errno, ReadWriteFlags};

/// "Where the descriptor stands", `preadv2(2)`.
const HERE: u64 = u64::MAX;

/// Opens a file as [`open_briefly`] does, for anybody's use.
pub(crate) fn open(path: &Path) -> Option<File> {
    let (file, _) = open_briefly(path)?;
    rustix::fs::fcntl_setfl(&file, OFlags::empty()).ok()?;
    Some(file)
}

/// Opens a regular file or a directory for reading, in non-blocking mode, which means nothing to its reads; and says how long it may be.
pub(crate) fn open_briefly(path: &Path) -> Option<(File, u64)> {
    // First without opening it: to open a FIFO or a device, even for a moment, is seen by others.
    let probe = open_cached(path, OFlags::PATH)?;
    let stat = stat_as_known(probe.as_fd())?;
    if !matches!(stat.file_type, FileType::RegularFile | FileType::Directory) || !stat.is_local {
        return None;
    }
    // Non-blocking for the open alone: somebody else's lease on the file would be waited for.
    let file = open_cached(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
    Some((File::from(file), stat.size))
}

/// What stands at `path`; `follow`: behind symbolic links.
pub(crate) fn metadata(path: &Path, follow: bool) -> Option<io::Result<Metadata>> {
    let no_follow = if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
    let probe = File::from(open_cached(path, OFlags::PATH | no_follow)?);
    file_metadata(&probe)
}

pub(crate) fn file_metadata(file: &File) -> Option<io::Result<Metadata>> {
    stat_as_known(file.as_fd())?.is_local.then(|| file.metadata())
}

/// Whether the file has no position: pipes, sockets and terminals.
pub(crate) fn is_stream(file: &File) -> bool {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let Ok(stat) = rustix::fs::statx(file, "", flags, StatxFlags::TYPE) else { return false };
    match FileType::from_raw_mode(stat.stx_mode.into()) {
        FileType::Fifo | FileType::Socket => true,
        FileType::CharacterDevice => file.is_terminal(),
        _ => false,
    }
}

/// Reads at the file's position, what is there at once.
pub(crate) fn read(file: &File, buffer: &mut [u8]) -> Option<io::Result<usize>> {
    read_at(file, buffer, HERE)
}

pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> Option<io::Result<usize>> {
    let buffer = &mut buffer[..];
    loop {
        let mut buffers = [IoSliceMut::new(buffer)];
        return match rustix::io::preadv2(file, &mut buffers, offset, ReadWriteFlags::NOWAIT) {
            Ok(0) if !end_is_true() => None,
            Ok(count) => Some(Ok(count)),
            Err(Errno::INTR) => continue,
            // It would wait; or this file, kernel or sandbox knows no such call. Other errors are found again by the one who asks.
            Err(_) => None,
        };
    }
}

/// Whether "nothing" means the end, and not that it would wait: Linux 5.9 and 5.10 mix them up (`preadv2(2)`, BUGS).
fn end_is_true() -> bool {
    static IS_TRUE: LazyLock<bool> = LazyLock::new(|| {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease");
        release.is_ok_and(|release| !mixes_up_the_end(&release))
    });
    *IS_TRUE
}

fn mixes_up_the_end(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let version = (numbers.next(), numbers.next());
    matches!(version, (Some("5"), Some("9" | "10")))
}

fn open_cached(path: &Path, flags: OFlags) -> Option<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    // Not in the cache, no such call, or a real error, which is found again by the one who asks.
    rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED).ok()
}

/// What is known of a file without asking a server for news.
struct Stat {
    file_type: FileType,
    size: u64,
    is_local: bool,
}

fn stat_as_known(fd: BorrowedFd<'_>) -> Option<Stat> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let wanted = StatxFlags::TYPE | StatxFlags::SIZE | MOUNT_ID;
    let stat = rustix::fs::statx(fd, "", flags, wanted).ok()?;
    let place = match stat.stx_mask & MOUNT_ID.bits() {
        0 => Place::Device(stat.stx_dev_major, stat.stx_dev_minor),
        _ => Place::Mount(stat.stx_mnt_id),
    };
    Some(Stat {
        file_type: FileType::from_raw_mode(stat.stx_mode.into()),
        size: stat.stx_size,
        is_local: is_local(place, fd)?,
    })
}

/// `STATX_MNT_ID_UNIQUE` of Linux 6.8, `uapi/linux/stat.h`.
const MOUNT_ID: StatxFlags = StatxFlags::from_bits_retain(0x4000);

#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// No later mount gets this number.
    Mount(u64),
    /// Of older kernels: that of a filesystem without a disk is given to the next one when it is unmounted.
    Device(u32, u32),
}

struct Met {
    place: Place,
    is_local: bool,
    learned: Instant,
}

/// The filesystems that were met, few on any system.
static MET: RwLock<Vec<Met>> = RwLock::new(Vec::new());
/// With more, the one that was met first is forgotten.
const MET_MAX: usize = 64;
/// So long a device is taken for what it was.
const DEVICE_KNOWN_MAX: Duration = Duration::from_secs(1);

/// Whether the file is on a filesystem that answers from this machine's memory. `None`: not known yet.
fn is_local(place: Place, fd: BorrowedFd<'_>) -> Option<bool> {
    let met = MET.read().unwrap_or_else(PoisonError::into_inner);
    let known = met.iter().find(|met| met.place == place).filter(|met| match place {
        Place::Mount(_) => true,
        Place::Device(..) => met.learned.elapsed() < DEVICE_KNOWN_MAX,
    });
    let is_local = known.map(|known| known.is_local);
    drop(met);
    if is_local.is_none() {
        learn(place, fd);
    }
    is_local
}

/// Asks for the kind of filesystem, where that may block: a server may have to be asked.
fn learn(place: Place, fd: BorrowedFd<'_>) {
    let Ok(fd) = fd.try_clone_to_owned() else { return };
    let ask = move || {
        let Ok(stat) = rustix::fs::fstatfs(&fd) else { return };
        #[allow(clippy::unnecessary_cast, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // its type depends on the architecture
        let is_local = LOCAL.contains(&(stat.f_type as u32));
        let mut met = MET.write().unwrap_or_else(PoisonError::into_inner);
        met.retain(|met| met.place != place);
        if met.len() >= MET_MAX {
            met.remove(0);
        }
        met.push(Met { place, is_local, learned: Instant::now() });
    };
    smolkit_runtime::unblock(ask).detach();
}

/// Filesystems that keep what they know in this machine's memory, `statfs(2)` and `uapi/linux/magic.h`. FUSE, NFS, SMB, 9P, Ceph and the unknown are not among them.
const LOCAL: [u32; 14] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // Btrfs
    0xf2f5_2010, // F2FS
    0x2fc1_2fc1, // ZFS
    0xca45_1a4e, // bcachefs
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
    0x794c_7630, // overlayfs
    0x7371_7368, // SquashFS
    0xe0f5_e1e2, // EROFS
    0x4d44,      // FAT
    0x9fa0,      // proc
    0x6265_6572, // sysfs
];

#[cfg(test)]
mod tests {
    use super::mixes_up_the_end;

    #[test]
    fn kernels_with_false_ends() {
        for release in ["5.9.0", "5.10.0-28-amd64", "5.10.226\n"] {
            assert!(mixes_up_the_end(release), "{release}");
        }
        for release in ["5.1.21", "5.11.0", "5.15.0-91-generic", "6.10.5", "15.9.0", "6.5.10"] {
            assert!(!mixes_up_the_end(release), "{release}");
        }
    }
}
