//! Records as users see them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_resolver::proto::rr::{RData, RecordType};

use super::names::show;

/// Where a service is (RFC 2782).
///
/// # Examples
///
/// ```
/// # use smolkit_runtime as smolkit;
#[doc = include_str!("example_server.md")]
/// # let resolver = resolver(b"\0\x01\0\x05\x1f\x90\x03web\x07example\x03org\0")?;
///
/// smolkit::block_on(async {
///     for service in resolver.srv("_http._tcp.example.org").await? {
///         println!("{} at port {}", service.target, service.port);
/// #       assert_eq!((service.target.as_str(), service.port), ("web.example.org", 8080));
/// #       assert_eq!((service.priority, service.weight), (1, 5));
///     }
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Srv {
    /// Lower ones are to be tried first.
    pub priority: u16,
    /// The share of the clients, among those of the same priority.
    pub weight: u16,
    /// The port of the service.
    pub port: u16,
    /// The host of the service; `.` says that there is none.
    pub target: String,
}

/// Who takes a domain's mail (RFC 1035 §3.3.9).
///
/// # Examples
///
/// ```
/// # use smolkit_runtime as smolkit;
#[doc = include_str!("example_server.md")]
/// # let resolver = resolver(b"\0\x0a\x04mail\x07example\x03org\0")?;
///
/// smolkit::block_on(async {
///     for server in resolver.mx("example.org").await? {
///         println!("{} (preference {})", server.exchange, server.preference);
/// #       assert_eq!((server.exchange.as_str(), server.preference), ("mail.example.org", 10));
///     }
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Mx {
    /// Lower ones are to be tried first.
    pub preference: u16,
    /// The host that takes the mail; `.` says that nobody does (RFC 7505).
    pub exchange: String,
}

/// Text about a name (RFC 1035 §3.3.14): one or more strings of up to 255 bytes.
///
/// Most uses read the strings as one text, which is what [`Display`](fmt::Display) writes; what is not UTF-8 becomes U+FFFD.
///
/// # Examples
///
/// ```
/// # use smolkit_runtime as smolkit;
#[doc = include_str!("example_server.md")]
/// # let resolver = resolver(b"\x06v=spf1\x05 -all")?;
///
/// smolkit::block_on(async {
///     let texts = resolver.txt("example.org").await?;
///     assert_eq!(texts[0].to_string(), "v=spf1 -all");
///     assert_eq!(texts[0].strings().collect::<Vec<_>>(), [&b"v=spf1"[..], b" -all"]);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Txt {
    strings: Vec<Vec<u8>>,
}

impl Txt {
    /// The strings, as they are in the record.
    pub fn strings(&self) -> impl Iterator<Item = &[u8]> {
        self.strings.iter().map(Vec::as_slice)
    }
}

impl fmt::Display for Txt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.strings.concat()))
    }
}

/// What can be asked for.
pub(super) trait Kind: Sized + Send {
    const TYPE: RecordType;
    const NAME: &'static str;

    fn from_data(data: &RData) -> Option<Self>;

    /// The order in which users want them; that of the server where nothing is said.
    fn sort(_records: &mut [Self]) {}
}

impl Kind for Ipv4Addr {
    const TYPE: RecordType = RecordType::A;
    const NAME: &'static str = "A";

    fn from_data(data: &RData) -> Option<Ipv4Addr> {
        if let RData::A(ip) = data { Some(ip.0) } else { None }
    }
}

impl Kind for Ipv6Addr {
    const TYPE: RecordType = RecordType::AAAA;
    const NAME: &'static str = "AAAA";

    fn from_data(data: &RData) -> Option<Ipv6Addr> {
        if let RData::AAAA(ip) = data { Some(ip.0) } else { None }
    }
}

impl Kind for Srv {
    const TYPE: RecordType = RecordType::SRV;
    const NAME: &'static str = "SRV";

    fn from_data(data: &RData) -> Option<Srv> {
        let RData::SRV(srv) = data else { return None };
        let (priority, weight, port) = (srv.priority, srv.weight, srv.port);
        Some(Srv { priority, weight, port, target: show(&srv.target) })
    }

    fn sort(records: &mut [Srv]) {
        records.sort_by_key(|srv| (srv.priority, std::cmp::Reverse(srv.weight)));
    }
}

impl Kind for Mx {
    const TYPE: RecordType = RecordType::MX;
    const NAME: &'static str = "MX";

    fn from_data(data: &RData) -> Option<Mx> {
        let RData::MX(mx) = data else { return None };
        Some(Mx { preference: mx.preference, exchange: show(&mx.exchange) })
    }

    fn sort(records: &mut [Mx]) {
        records.sort_by_key(|mx| mx.preference);
    }
}

impl Kind for Txt {
    const TYPE: RecordType = RecordType::TXT;
    const NAME: &'static str = "TXT";

    fn from_data(data: &RData) -> Option<Txt> {
        let RData::TXT(txt) = data else { return None };
        Some(Txt { strings: txt.txt_data.iter().map(|string| string.to_vec()).collect() })
    }
}

/// A host's name: the content of a PTR record.
#[derive(Debug)]
pub(super) struct HostName(pub(super) String);

impl Kind for HostName {
    const TYPE: RecordType = RecordType::PTR;
    const NAME: &'static str = "PTR";

    fn from_data(data: &RData) -> Option<HostName> {
        if let RData::PTR(name) = data { Some(HostName(show(&name.0))) } else { None }
    }
}

/// This host's addresses, the answer for `localhost`.
pub(super) const LOOPBACK: [IpAddr; 2] =
    [IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)];
