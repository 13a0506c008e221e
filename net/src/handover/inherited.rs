//! What the environment says about descriptors that were left to this process (`sd_listen_fds(3)`).

use std::env;
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use super::sockets::{Entry, Sockets};
use super::successor;
use crate::sys;

/// The variables that tell a process about its inherited sockets, for commands that must not pass them on (`Command::env_remove`).
///
/// # Examples
///
/// ```
/// use smolkit_net::handover::VARIABLES;
///
/// let mut command = std::process::Command::new("true");
/// for name in VARIABLES {
///     command.env_remove(name);
/// }
/// assert!(command.status()?.success());
/// # std::io::Result::Ok(())
/// ```
pub const VARIABLES: [&str; 5] =
    ["LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES", successor::HANDOVER_VARIABLE];

/// More than any process may have open.
const FDS_MAX: RawFd = 1 << 20;

/// Each descriptor has one owner, so it can be taken once.
static TAKEN: AtomicBool = AtomicBool::new(false);

impl Sockets {
    /// The sockets that systemd or a predecessor has left to this process. None, if nobody has.
    ///
    /// They are taken over: marked to be closed by `exec`, and closed if nobody takes them out of the set. Those that systemd has given no name are called `unknown`.
    ///
    /// # Errors
    ///
    /// `ResourceBusy` if they were taken before; `InvalidData` if the variables contradict themselves, or name a descriptor that is not open, or that
    /// this process has opened itself. From a predecessor also those of [`receive`](Sockets::receive). What could not be taken over stays lost: there is no second try.
    ///
    /// # Examples
    ///
    /// See [`handover`](super).
    pub fn inherited() -> io::Result<Sockets> {
        let variable = |name| env::var(name).ok();
        let own = std::process::id();
        let names = names(
            variable("LISTEN_PID").as_deref(),
            variable("LISTEN_FDS").as_deref(),
            variable("LISTEN_FDNAMES").as_deref(),
            own,
        )?;
        let predecessor = variable(successor::HANDOVER_VARIABLE);
        if names.is_empty() && predecessor.is_none() {
            return Ok(Sockets::new());
        }
        if TAKEN.swap(true, Ordering::SeqCst) {
            let message = "the inherited sockets have been taken before: each has one owner";
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, message));
        }
        if let Some(value) = predecessor {
            if let Some(sockets) = successor::from_predecessor(&value)? {
                return Ok(sockets);
            }
            if names.is_empty() {
                TAKEN.store(false, Ordering::SeqCst);
            }
        }
        let mut entries = Vec::new();
        for (number, name) in (sys::FIRST_FD..).zip(names) {
            entries.push(Entry { name, fd: sys::inherited(number)? });
        }
        Ok(Sockets { entries, predecessor: None })
    }
}

/// The names of the descriptors from [`FIRST_FD`](sys::FIRST_FD) on that were left to the process `own`.
fn names(
    pid: Option<&str>,
    fds: Option<&str>,
    names: Option<&str>,
    own: u32,
) -> io::Result<Vec<String>> {
    let invalid = |message| Err(io::Error::new(io::ErrorKind::InvalidData, message));
    let (Some(pid), Some(fds)) = (pid, fds) else { return Ok(Vec::new()) };
    match pid.parse::<u32>() {
        Ok(pid) if pid == own => {}
        // They were left to our parent, say.
        Ok(_) => return Ok(Vec::new()),
        Err(_) => return invalid(format!("LISTEN_PID is {pid:?}, which is no process")),
    }
    let count = match fds.parse::<RawFd>() {
        Ok(count @ 0..FDS_MAX) => count as usize,
        _ => return invalid(format!("LISTEN_FDS is {fds:?}, which is no count of descriptors")),
    };
    let Some(names) = names else { return Ok(vec!["unknown".to_owned(); count]) };
    let names: Vec<String> = match (count, names) {
        (0, "") => Vec::new(),
        _ => names.split(':').map(str::to_owned).collect(),
    };
    if names.len() != count {
        let given = names.len();
        return invalid(format!("LISTEN_FDNAMES has {given} names for {count} descriptors"));
    }
    Ok(names)
}

/// Removes the [`VARIABLES`] from the environment of this process, so that its children do not see them. Afterwards
/// [`Sockets::inherited`] finds nothing, so that comes first.
///
/// # Safety
///
/// As for [`std::env::remove_var`]: no other thread reads or changes the environment meanwhile, C code included. At the beginning of `main`, before anything was spawned, this holds.
///
/// # Examples
///
/// ```
/// use smolkit_net::handover::{self, Sockets};
///
/// let sockets = Sockets::inherited()?;
/// // SAFETY: no other thread runs yet.
/// unsafe { handover::remove_variables() };
/// # drop(sockets);
/// # std::io::Result::Ok(())
/// ```
#[allow(unsafe_code)]
pub unsafe fn remove_variables() {
    for name in VARIABLES {
        // SAFETY: the caller's promise is the one that is asked for here.
        unsafe { env::remove_var(name) };
    }
}

#[cfg(test)]
mod tests {
    use super::names;

    fn seen(pid: &str, fds: &str, given: Option<&str>) -> Result<Vec<String>, String> {
        names(Some(pid), Some(fds), given, 42).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_meant_for_us() {
        assert_eq!(seen("42", "2", Some("http:dns")).unwrap(), ["http", "dns"]);
        assert_eq!(seen("42", "2", None).unwrap(), ["unknown", "unknown"]);
        assert_eq!(seen("42", "1", Some("")).unwrap(), [""]);
        assert!(seen("42", "0", Some("")).unwrap().is_empty());
    }

    #[test]
    fn what_is_meant_for_others() {
        assert!(seen("41", "2", Some("too:many:names")).unwrap().is_empty());
        assert!(names(None, Some("2"), None, 42).unwrap().is_empty());
        assert!(names(Some("42"), None, None, 42).unwrap().is_empty());
    }

    #[test]
    fn what_contradicts_itself() {
        for (pid, fds, given) in [
            ("x", "1", None),
            ("42", "-1", None),
            ("42", "two", None),
            ("42", "99999999999", None),
            ("42", "2000000000", None),
            ("42", "2", Some("one")),
            ("42", "0", Some("one")),
        ] {
            let error = seen(pid, fds, given).expect_err(fds);
            assert!(error.starts_with("LISTEN_"), "{error}");
        }
    }
}
