//! Reading whole files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use smolkit_runtime::unblock;

use crate::now;

/// Reads a whole file.
///
/// Without limit: see [`read_within`].
///
/// # Cancel safety
///
/// Nothing is lost.
///
/// # Errors
///
/// `NotFound`, `PermissionDenied`, `IsADirectory` and the others of `open(2)` and `read(2)`.
pub async fn read<P: AsRef<Path>>(path: P) -> io::Result<Vec<u8>> {
    read_up_to(path.as_ref(), u64::MAX).await
}

/// Reads a whole file as text.
///
/// # Cancel safety
///
/// Nothing is lost.
///
/// # Errors
///
/// Those of [`read`], and `InvalidData` if it is no UTF-8.
pub async fn read_to_string<P: AsRef<Path>>(path: P) -> io::Result<String> {
    text(read(path).await?)
}

/// Reads a whole file of at most `bytes_max` bytes.
///
/// # Cancel safety
///
/// Nothing is lost.
///
/// # Errors
///
/// Those of [`read`], and `FileTooLarge` if it is longer. No more than the limit was read into memory then, and one byte.
///
/// # Examples
///
/// ```
/// # smolkit_runtime::block_on(async {
/// let error = smolkit_fs::read_within("Cargo.toml", 10).await.expect_err("it is longer");
/// assert_eq!(error.kind(), std::io::ErrorKind::FileTooLarge);
/// # });
/// ```
pub async fn read_within<P: AsRef<Path>>(path: P, bytes_max: usize) -> io::Result<Vec<u8>> {
    let path = path.as_ref();
    // One more than may be, to see whether there is more.
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let bytes = read_up_to(path, limit).await?;
    if bytes.len() <= bytes_max {
        return Ok(bytes);
    }
    let message = format!("cannot read {}: it has more than {bytes_max} bytes", path.display());
    Err(io::Error::new(io::ErrorKind::FileTooLarge, message))
}

/// Reads a whole file of at most `bytes_max` bytes as text.
///
/// # Cancel safety
///
/// Nothing is lost.
///
/// # Errors
///
/// Those of [`read_within`], and `InvalidData` if it is no UTF-8.
pub async fn read_to_string_within<P: AsRef<Path>>(
    path: P,
    bytes_max: usize,
) -> io::Result<String> {
    text(read_within(path, bytes_max).await?)
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

async fn read_up_to(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // How long it is shows later; most files that are read whole are short.
    now::turn(0).await;
    let (mut bytes, file) = match now::open_briefly(path) {
        Some((file, size)) => match read_now(&file, size, limit) {
            (bytes, true) => return Ok(bytes),
            (bytes, false) => (bytes, Ok(file)),
        },
        None => (Vec::new(), Err(path.to_owned())),
    };
    unblock(move || {
        let file = file.or_else(File::open)?;
        if bytes.is_empty() {
            let size = file.metadata().map_or(0, |metadata| metadata.len());
            bytes.try_reserve(usize::try_from(size.min(limit)).unwrap_or(usize::MAX))?;
        }
        let rest = limit - bytes.len() as u64;
        file.take(rest).read_to_end(&mut bytes)?;
        Ok(bytes)
    })
    .await
}

/// What can be read at once, and whether that is all. `size` may be out of date, and means nothing in /proc.
fn read_now(file: &File, size: u64, limit: u64) -> (Vec<u8>, bool) {
    // One more than there should be, so that the end is seen.
    let wanted = size.saturating_add(1).min(limit);
    let Some(wanted) = usize::try_from(wanted).ok().filter(|&wanted| wanted <= now::BYTES_MAX)
    else {
        return (Vec::new(), false);
    };
    let mut bytes = vec![0; wanted];
    let mut filled = 0;
    let is_all = loop {
        let Some(Ok(count)) = now::read(file, &mut bytes[filled..]) else { break false };
        filled += count;
        // Where the size says that the end is, the kernel need not be asked again.
        let is_end = count == 0 || filled as u64 == size || filled as u64 == limit;
        // A file that grows is left to a thread.
        if is_end || filled == wanted {
            break is_end;
        }
    };
    bytes.truncate(filled);
    (bytes, is_all)
}
