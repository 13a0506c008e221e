//! The identities of a connector or an acceptor: which one is presented, and how others take their place.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use smolkit_runtime::time;

use super::identity::{Identity, Loaded};
use super::{Provider, TlsError};

/// A certificate in use: what an expiry alarm wants to know. [`TlsAcceptor::certificates`](super::TlsAcceptor::certificates) and its like return them.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use smolkit_net::tls::{Identity, TlsAcceptor};
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// # let (certificate, key) = (certificate.as_bytes(), key.as_bytes());
///
/// let acceptor = TlsAcceptor::builder(Identity::from_pem(certificate, key)?).build()?;
/// let soon = SystemTime::now() + Duration::from_secs(7 * 86_400);
/// for certificate in acceptor.certificates() {
///     if certificate.not_after < soon || certificate.reload_error.is_some() {
///         eprintln!("look after {}: {certificate:?}", certificate.origin);
///     }
/// }
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CertificateStatus {
    /// The file it comes from, or what stands for it.
    pub origin: String,
    /// The names it is for, in lower case.
    pub names: Vec<String>,
    /// From when it holds.
    pub not_before: SystemTime,
    /// Until when it holds.
    pub not_after: SystemTime,
    /// Why it could not be read again when that was tried last. The one before is still in use.
    pub reload_error: Option<String>,
}

pub(crate) struct Keys {
    provider: Provider,
    table: RwLock<Arc<Table>>,
    /// One reload at a time. It is held while files are read, so nobody else may take it.
    reloading: Mutex<()>,
}

struct Table {
    loaded: Vec<Loaded>,
    /// For each of them, why it could not be read again when that was tried last.
    failures: Vec<Option<String>>,
    /// Which of them have a name; the first ones first. Wildcards begin with `*.`. Empty if there is no choice.
    by_name: HashMap<String, Vec<usize>>,
}

impl Table {
    fn new(loaded: Vec<Loaded>, failures: Vec<Option<String>>) -> Table {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        if loaded.len() > 1 {
            for (index, one) in loaded.iter().enumerate() {
                for name in &one.names {
                    by_name.entry(name.clone()).or_default().push(index);
                }
            }
        }
        Table { loaded, failures, by_name }
    }

    /// The identities in the order of preference for a name: those that have it, then the first.
    fn candidates(&self, name: Option<&str>) -> impl Iterator<Item = &Loaded> {
        let name = name.filter(|_| !self.by_name.is_empty()).map(str::to_ascii_lowercase);
        let wildcard = name.as_ref().and_then(|name| name.split_once('.'));
        let wildcard = wildcard.map(|(_, parent)| format!("*.{parent}"));
        let found = |name: Option<String>| name.and_then(|name| self.by_name.get(&name));
        let named = found(name).into_iter().chain(found(wildcard)).flatten();
        named.map(|&index| &self.loaded[index]).chain(&self.loaded)
    }
}

impl Keys {
    pub(crate) fn new(identities: Vec<Identity>, provider: Provider) -> Result<Keys, TlsError> {
        let loaded = identities.into_iter().map(|identity| identity.load(&provider));
        let loaded = loaded.collect::<Result<Vec<_>, _>>()?;
        let failures = vec![None; loaded.len()];
        let table = RwLock::new(Arc::new(Table::new(loaded, failures)));
        Ok(Keys { provider, table, reloading: Mutex::new(()) })
    }

    fn table(&self) -> Arc<Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads files again: all of them, or those that seem to have changed. What fails stays as it is. It blocks.
    pub(crate) fn reload(&self, always: bool) -> Reloaded {
        let _one = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.table();
        let (mut loaded, mut failures) = (old.loaded.clone(), old.failures.clone());
        let mut errors = Vec::new();
        let mut has_changed = false;
        for (one, failure) in loaded.iter_mut().zip(&mut failures) {
            match one.again(&self.provider, always) {
                Ok(replacement) => {
                    *failure = None;
                    if let Some(replacement) = replacement {
                        has_changed |= replacement.certified.cert != one.certified.cert;
                        *one = replacement;
                    }
                }
                Err(error) => {
                    *failure = Some(error.to_string());
                    errors.push(error);
                }
            }
        }
        let table = Arc::new(Table::new(loaded, failures));
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = table;
        Reloaded { has_changed, errors }
    }

    pub(crate) fn status(&self) -> Vec<CertificateStatus> {
        let table = self.table();
        let status = |(one, failure): (&Loaded, &Option<String>)| CertificateStatus {
            origin: one.origin(),
            names: one.names.clone(),
            not_before: one.validity.not_before,
            not_after: one.validity.not_after,
            reload_error: failure.clone(),
        };
        table.loaded.iter().zip(&table.failures).map(status).collect()
    }
}

/// What came of reading the files again.
#[derive(Default)]
pub(crate) struct Reloaded {
    /// Whether anything was replaced, whatever failed beside it.
    pub(crate) has_changed: bool,
    pub(crate) errors: Vec<TlsError>,
}

impl Reloaded {
    pub(crate) fn and(mut self, other: Reloaded) -> Reloaded {
        self.has_changed |= other.has_changed;
        self.errors.extend(other.errors);
        self
    }

    pub(crate) fn into_result(mut self) -> Result<bool, TlsError> {
        match self.errors.len() {
            0 => Ok(self.has_changed),
            1 => Err(self.errors.remove(0)),
            _ => Err(TlsError::Several(self.errors)),
        }
    }
}

/// Reads again every so often, for ever, and says what came of it.
pub(crate) async fn watch<F: Future<Output = Reloaded>>(
    every: Duration,
    reload: impl Fn() -> F,
    mut report: impl FnMut(Result<(), TlsError>),
) -> Infallible {
    loop {
        time::sleep(every).await;
        let reloaded = reload().await;
        // One that stays broken does not hide what becomes of the others.
        if reloaded.has_changed {
            report(Ok(()));
        }
        if let Err(error) = reloaded.into_result() {
            report(Err(error));
        }
    }
}

/// The first one whose key can sign what the other end can check.
fn choose<'a>(
    mut candidates: impl Iterator<Item = &'a Loaded>,
    schemes: &[SignatureScheme],
) -> Option<Arc<CertifiedKey>> {
    let fits = |one: &&Loaded| one.certified.key.choose_scheme(schemes).is_some();
    candidates.find(fits).map(|one| one.certified.clone())
}

impl ResolvesServerCert for Keys {
    /// If no key fits, the preferred one all the same: rustls then tells the client what it has in common with nobody, and not that it was denied access.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let table = self.table();
        let candidates = || table.candidates(hello.server_name());
        choose(candidates(), hello.signature_schemes())
            .or_else(|| candidates().next().map(|one| one.certified.clone()))
    }
}

impl ResolvesClientCert for Keys {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        choose(self.table().loaded.iter(), schemes)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("identities", &self.table().loaded).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// Goal: who asks for the certificates, on a worker perhaps, does not wait for a slow disk. Method: the lock of a reload is held meanwhile.
    #[test]
    fn a_reload_holds_up_nobody() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        let keys = Arc::new(Keys::new(vec![identity], Provider::default()).unwrap());
        let reload = keys.reloading.lock().unwrap();
        let (sender, receiver) = mpsc::channel();
        let asked = Arc::clone(&keys);
        let thread = thread::spawn(move || sender.send(asked.status().len()));
        assert_eq!(receiver.recv_timeout(Duration::from_secs(30)), Ok(1));
        drop(reload);
        thread.join().unwrap().unwrap();
    }
}
