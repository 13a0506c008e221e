//! `resolv.conf` and the hosts file, read again when they have changed.

use std::fs::{self, Metadata, OpenOptions};
use std::future::Future;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::{FutureExt, Shared};
use smolkit_runtime::time::timeout;
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

/// Who finds that it is time to look at the files again waits for that for this part of a look-up's deadline, and no longer than this; then what they said
/// before has to do. Mostly a look takes some 100 µs, but the pool may be busy, and the disk slow.
const PATIENCE_PART: u32 = 20;
const PATIENCE_MAX: Duration = Duration::from_secs(5);

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
}

#[derive(Default)]
struct Current {
    state: Option<Arc<State>>,
    /// When somebody has to look again.
    next: Option<Instant>,
    seen: Seen,
    /// One look at a time.
    look: Option<Look>,
}

/// A look at the files, on a thread where it may block. It goes on when nobody waits for it, and it does not depend on who waits.
type Look = Shared<Pin<Box<dyn Future<Output = Result<Arc<State>, Unreadable>> + Send>>>;

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

/// Why there is no state, for all who wait for it.
#[derive(Clone)]
struct Unreadable {
    kind: io::ErrorKind,
    message: String,
}

impl From<Unreadable> for io::Error {
    fn from(Unreadable { kind, message }: Unreadable) -> io::Error {
        io::Error::new(kind, message)
    }
}

impl Files {
    pub(super) fn new(settings: Settings, counters: Arc<Counters>) -> Files {
        Files { settings, counters, current: Mutex::default() }
    }

    /// What the files say: at most `reload_interval` ago, or longer if a look at them takes long.
    pub(super) async fn state(self: &Arc<Self>) -> io::Result<Arc<State>> {
        let (old, look) = {
            let mut current = lock(&self.current);
            if let Some(state) = current.fresh() {
                return Ok(state);
            }
            if !self.settings.has_files() {
                let (completion, upstream) = self.configured(&ResolvConf::default(), None);
                let state = Arc::new(State { hosts: Arc::default(), completion, upstream });
                current.state = Some(Arc::clone(&state));
                return Ok(state);
            }
            let old = current.state.clone();
            let look = match (&current.look, &old) {
                (Some(_), Some(old)) => return Ok(Arc::clone(old)),
                (Some(look), None) => look.clone(),
                (None, _) => current.look.insert(Arc::clone(self).look().boxed().shared()).clone(),
            };
            (old, look)
        };
        match old {
            Some(old) => match timeout(self.patience(), look).await {
                Ok(Ok(state)) => Ok(state),
                // What it said before goes on to hold.
                Ok(Err(_)) | Err(_) => Ok(old),
            },
            None => Ok(look.await?),
        }
    }

    fn patience(&self) -> Duration {
        (self.settings.deadline / PATIENCE_PART).min(PATIENCE_MAX)
    }

    /// The state if the files have been read, without a look at them.
    pub(super) fn last(&self) -> Option<Arc<State>> {
        lock(&self.current).state.clone()
    }

    /// It begins with the first poll: where there is no other thread, it runs on this one, which must not hold a lock then.
    async fn look(self: Arc<Self>) -> Result<Arc<State>, Unreadable> {
        let looked = unblock(move || self.look_and_keep()).fallible().await;
        looked.unwrap_or_else(|| {
            let message = "cannot look up names: the blocking pool has been shut down, and its files were not read";
            Err(Unreadable { kind: io::ErrorKind::Other, message: message.to_owned() })
        })
    }

    /// Blocks. It frees what it replaces, too: that of a long list takes long.
    fn look_and_keep(&self) -> Result<Arc<State>, Unreadable> {
        let _over = Over(self);
        let (old, seen) = {
            let current = lock(&self.current);
            (current.state.clone(), current.seen)
        };
        let Settings { resolv_conf, hosts, .. } = &self.settings;
        let known = old.as_ref().map(|old| &*old.hosts);
        let found = look(resolv_conf.as_deref(), hosts.as_deref(), known, seen);
        let state = Arc::new(self.take_over(old.as_deref(), &found)?);
        let mut current = lock(&self.current);
        current.seen = found.seen;
        current.next = Instant::now().checked_add(self.settings.reload_interval);
        let former = current.state.replace(Arc::clone(&state));
        drop(current);
        drop(former);
        Ok(state)
    }

    /// A file that cannot be read is an error the first time; later what it said before goes on to hold.
    fn take_over(&self, old: Option<&State>, found: &Found) -> Result<State, Unreadable> {
        let settings = &self.settings;
        let (completion, upstream) = match (&found.resolv_conf, old) {
            (Ok(Some(conf)), _) => self.configured(conf, old),
            (Ok(None), Some(old)) => (old.completion.clone(), Arc::clone(&old.upstream)),
            (Ok(None), None) => self.configured(&ResolvConf::default(), None),
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
    fn configured(&self, conf: &ResolvConf, old: Option<&State>) -> (Completion, Arc<Upstream>) {
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
                return (completion, Arc::clone(&old.upstream));
            }
            self.counters.reloads();
        }
        let upstream = self.upstream(servers);
        (completion, Arc::new(upstream))
    }

    fn upstream(&self, servers: Servers) -> Upstream {
        let Settings { limits, in_flight_max, .. } = self.settings;
        Upstream::new(servers, limits, in_flight_max, Arc::clone(&self.counters))
    }
}

impl Current {
    /// The state, if it is fresh enough.
    fn fresh(&self) -> Option<Arc<State>> {
        let is_fresh = self.next.is_none_or(|next| Instant::now() < next);
        self.state.clone().filter(|_| is_fresh)
    }
}

/// The end of a look, however it ends.
struct Over<'a>(&'a Files);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        let look = lock(&self.0.current).look.take();
        drop(look);
    }
}

fn unreadable(path: &Option<PathBuf>, error: &io::Error) -> Unreadable {
    let path = path.as_deref().unwrap_or(Path::new(""));
    let message = format!("cannot look up names: cannot read {}: {error}", path.display());
    Unreadable { kind: error.kind(), message }
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
