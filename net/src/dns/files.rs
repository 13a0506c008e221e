//! `resolv.conf` and the hosts file, read again when they have changed.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use smolkit_runtime::unblock;

use super::builder::Settings;
use super::hosts::Hosts;
use super::metrics::Counters;
use super::names::Completion;
use super::resolv_conf::{self, ResolvConf};
use super::upstream::{Servers, Upstream, lock};

const RESOLV_CONF_MAX_BYTES: u64 = 64 << 10;
const HOSTS_MAX_BYTES: u64 = 16 << 20;

/// A file that changed this short ago may change again without a trace in its times.
const SETTLED: Duration = Duration::from_secs(2);

/// What the files said when they were last read.
pub(super) struct State {
    pub(super) hosts: Arc<Hosts>,
    pub(super) completion: Completion,
    pub(super) upstream: Arc<Upstream>,
}

/// The files, and their state.
pub(super) struct Files {
    settings: Settings,
    counters: Arc<Counters>,
    current: Mutex<Current>,
    /// Held by the one that looks at the files.
    seen: async_lock::Mutex<Seen>,
}

#[derive(Default)]
struct Current {
    state: Option<Arc<State>>,
    /// When somebody has to look again.
    next: Option<Instant>,
}

/// The files as they were when they were last looked at.
#[derive(Clone, Copy, Default)]
struct Seen {
    resolv_conf: Stamp,
    hosts: Stamp,
}

/// What was found in the files, `None` if they say what they said before.
struct Found {
    resolv_conf: io::Result<Option<ResolvConf>>,
    hosts: io::Result<Option<Arc<Hosts>>>,
    seen: Seen,
}

impl Files {
    pub(super) fn new(settings: Settings, counters: Arc<Counters>) -> Files {
        let (current, seen) = (Mutex::default(), async_lock::Mutex::default());
        Files { settings, counters, current, seen }
    }

    /// What the files say: at most `reload_interval` ago, or longer if somebody is looking just now.
    pub(super) async fn state(&self) -> io::Result<Arc<State>> {
        let old = match self.known() {
            (Some(state), true) => return Ok(state),
            (old, _) => old,
        };
        let mut seen = match &old {
            Some(old) => match self.seen.try_lock() {
                Some(seen) => seen,
                None => return Ok(Arc::clone(old)),
            },
            None => self.seen.lock().await,
        };
        // Somebody else may have looked while this one waited.
        let old = match self.known() {
            (Some(state), true) => return Ok(state),
            (old, _) => old,
        };
        let found = self.look(*seen, old.as_deref()).await;
        let state = self.take_over(old.as_deref(), &found)?;
        *seen = found.seen;
        let state = Arc::new(state);
        let former = {
            let mut current = lock(&self.current);
            current.next = Instant::now().checked_add(self.settings.reload_interval);
            current.state.replace(Arc::clone(&state))
        };
        if let (Ok(Some(_)), Some(former)) = (found.hosts, former) {
            // To free a long list takes long, too.
            unblock(move || drop((old, former))).detach();
        }
        Ok(state)
    }

    /// The state if the files have been read, without a look at them.
    pub(super) fn last(&self) -> Option<Arc<State>> {
        lock(&self.current).state.clone()
    }

    /// The state, and whether it is fresh enough.
    fn known(&self) -> (Option<Arc<State>>, bool) {
        let current = lock(&self.current);
        let is_fresh =
            !self.settings.has_files() || current.next.is_none_or(|next| Instant::now() < next);
        (current.state.clone(), is_fresh)
    }

    async fn look(&self, seen: Seen, old: Option<&State>) -> Found {
        let Settings { resolv_conf, hosts, .. } = &self.settings;
        if !self.settings.has_files() {
            let (resolv_conf, hosts) = (ResolvConf::default(), Arc::default());
            return Found { resolv_conf: Ok(Some(resolv_conf)), hosts: Ok(Some(hosts)), seen };
        }
        let (resolv_conf, hosts) = (resolv_conf.clone(), hosts.clone());
        let known = old.map(|old| Arc::clone(&old.hosts));
        unblock(move || look(resolv_conf.as_deref(), hosts.as_deref(), known.as_deref(), seen))
            .await
    }

    /// A file that cannot be read is an error the first time; later what it said before goes on to hold.
    fn take_over(&self, old: Option<&State>, found: &Found) -> io::Result<State> {
        let settings = &self.settings;
        let (completion, upstream) = match (&found.resolv_conf, old) {
            (Ok(Some(conf)), _) => self.configured(conf, old)?,
            (Ok(None), Some(old)) => (old.completion.clone(), Arc::clone(&old.upstream)),
            (Ok(None), None) => self.configured(&ResolvConf::default(), None)?,
            (Err(error), Some(old)) => {
                warn(&settings.resolv_conf, error);
                (old.completion.clone(), Arc::clone(&old.upstream))
            }
            (Err(error), None) => return Err(unreadable(&settings.resolv_conf, error)),
        };
        let hosts = match (&found.hosts, old) {
            (Ok(Some(hosts)), old) => {
                if old.is_some() {
                    self.counters.reloads();
                }
                Arc::clone(hosts)
            }
            (Ok(None), Some(old)) => Arc::clone(&old.hosts),
            (Ok(None), None) => Arc::default(),
            (Err(error), Some(old)) => {
                warn(&settings.hosts, error);
                Arc::clone(&old.hosts)
            }
            (Err(error), None) => return Err(unreadable(&settings.hosts, error)),
        };
        Ok(State { hosts, completion, upstream })
    }

    /// The servers that `conf` and the builder name. Other servers know other answers, so the cache starts anew with them.
    fn configured(
        &self,
        conf: &ResolvConf,
        old: Option<&State>,
    ) -> io::Result<(Completion, Arc<Upstream>)> {
        for line in &conf.ignored {
            tracing::debug!(line, "resolv.conf: a line that is not understood");
        }
        let settings = &self.settings;
        let servers = settings.servers(conf);
        let completion = settings.completion(conf);
        if let Some(old) = old {
            if *old.upstream.servers() == servers {
                if old.completion != completion {
                    self.counters.reloads();
                }
                return Ok((completion, Arc::clone(&old.upstream)));
            }
            self.counters.reloads();
        }
        let upstream = self.upstream(servers);
        Ok((completion, Arc::new(upstream)))
    }

    fn upstream(&self, servers: Servers) -> Upstream {
        let Settings { limits, in_flight_max, .. } = self.settings;
        Upstream::new(servers, limits, in_flight_max, Arc::clone(&self.counters))
    }
}

fn unreadable(path: &Option<PathBuf>, error: &io::Error) -> io::Error {
    let path = path.as_deref().unwrap_or(Path::new(""));
    let message = format!("cannot look up names: cannot read {}: {error}", path.display());
    io::Error::new(error.kind(), message)
}

fn warn(path: &Option<PathBuf>, error: &io::Error) {
    tracing::warn!(?path, %error, "cannot be read again; what it said before goes on to hold");
}

/// Blocks. It also compares the hosts with those that are `known`: of a list of a million names that takes as long as reading it.
fn look(
    resolv_conf: Option<&Path>,
    hosts: Option<&Path>,
    known: Option<&Hosts>,
    seen: Seen,
) -> Found {
    let mut new = seen;
    let conf = match resolv_conf {
        Some(path) => read_changed(path, &mut new.resolv_conf, RESOLV_CONF_MAX_BYTES)
            .map(|text| text.map(|text| resolv_conf::parse(&text, &host_name()))),
        None => Ok(None),
    };
    let hosts = match hosts {
        Some(path) => read_changed(path, &mut new.hosts, HOSTS_MAX_BYTES).map(|text| {
            let hosts = text.map(|text| Hosts::parse(&text));
            hosts.filter(|hosts| known != Some(hosts)).map(Arc::new)
        }),
        None => Ok(None),
    };
    Found { resolv_conf: conf, hosts, seen: new }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// What tells whether a file has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stamp {
    #[default]
    Unseen,
    Missing,
    Seen {
        id: (u64, u64),
        length: u64,
        modified: (i64, i64),
        changed: (i64, i64),
    },
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp::Seen {
            id: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// The text of the file, `None` if it is as `seen` says. A missing file is an empty one.
fn read_changed(path: &Path, seen: &mut Stamp, bytes_max: u64) -> io::Result<Option<String>> {
    match fs::metadata(path) {
        Ok(metadata) if *seen == Stamp::of(&metadata) => return Ok(None),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let is_new = std::mem::replace(seen, Stamp::Missing) != Stamp::Missing;
            return Ok(is_new.then(String::new));
        }
        Err(error) => return Err(error),
    }
    // A pipe without a writer is empty, and holds up nobody.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        let message = format!("it is longer than {bytes_max} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let age = metadata.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    // An unsettled file counts as unseen: it is read again at the next look.
    *seen = match age {
        Some(age) if age >= SETTLED => Stamp::of(&metadata),
        _ => Stamp::Unseen,
    };
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}
