//! Goal: the public interface is a superset of async-net's.
//! Method: one list of every item with its signature and traits, compiled against async-net itself, which proves the list, and
//! against this crate. What async-net's source declares has to be in the list.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

/// Whether each of the types has each of the auto traits: an inherent constant goes before that of a trait, where its bound holds.
macro_rules! auto_traits {
    ($($type:ty),*) => {{
        let mut all = Vec::new();
        $(auto_traits!(@ all, $type: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe);)*
        all
    }};
    (@ $all:ident, $type:ty: $($trait:ident),*) => {$({
        #[allow(dead_code)]
        struct Probe<T>(std::marker::PhantomData<T>);
        #[allow(dead_code)]
        trait Otherwise {
            const HAS: bool = false;
        }
        impl<T> Otherwise for Probe<T> {}
        #[allow(dead_code)]
        impl<T: $trait> Probe<T> {
            const HAS: bool = true;
        }
        $all.push((stringify!($type), stringify!($trait), Probe::<$type>::HAS));
    })*};
}

mod theirs {
    use super::*;
    use async_io::Async;
    use async_net as net;
    include!("surface/body.rs");
}

mod ours {
    use super::*;
    use smolkit_net as net;
    use smolkit_runtime::Async;
    include!("surface/body.rs");
}

#[test]
fn the_list_is_that_of_async_net() {
    theirs::check().unwrap();
}

#[test]
fn every_item_is_here() {
    ours::check().unwrap();
}

#[test]
fn every_auto_trait_is_here() {
    let (theirs, ours) = (theirs::auto_traits(), ours::auto_traits());
    assert_eq!(theirs.len(), 8 * 5);
    // What the list itself demands, the compiler has to find here, too.
    let of_a_stream = ours.iter().filter(|our| our.0 == "TcpStream" && our.2).count();
    assert_eq!(of_a_stream, 5);
    let lost: Vec<_> = theirs.iter().zip(&ours).filter(|(their, our)| their.2 && !our.2).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

/// What a command of the toolchain says.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Where cargo has put the source of async-net.
fn source() -> PathBuf {
    // What only other systems need may not be there.
    let about = said(Command::new("rustc").arg("-vV"));
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let text = said(
        Command::new(cargo)
            .args(["metadata", "--format-version=1", "--offline", "--filter-platform", host])
            .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]),
    );
    let manifests = text.split("\"manifest_path\":\"").skip(1);
    let manifests = manifests.filter_map(|rest| rest.split('"').next());
    let folders = manifests.filter_map(|path| path.strip_suffix("/Cargo.toml"));
    let mut named =
        folders.filter(|path| path.rsplit('/').next().unwrap().starts_with("async-net-"));
    PathBuf::from(named.next().expect("cargo knows it")).join("src")
}

/// What one file declares: functions with their types, traits with those that have them, and names. The source is formatted as rustfmt does it.
fn declared(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let (mut of, mut derived, mut is_windows) = (None, Vec::new(), false);
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        let name =
            |rest: &str| rest.split(['<', '(', ' ', ':', ';', '{']).next().unwrap().to_owned();
        if let Some(attribute) = line.strip_prefix("#[") {
            is_windows |= attribute == "cfg(windows)]";
            if let Some(list) = attribute.strip_prefix("derive(") {
                derived = list.trim_end_matches(")]").split(", ").collect();
            }
            continue;
        }
        if is_windows {
            is_windows = false;
            of = None;
        } else if let Some(header) = line.strip_prefix("impl") {
            let header = header.split(" {").next().unwrap();
            let header = header.strip_prefix("<'a>").unwrap_or(header);
            let header = header
                .split_once("> ")
                .filter(|_| header.starts_with('<'))
                .map_or(header, |it| it.1);
            of = match header.trim().split_once(" for ") {
                Some(_) => {
                    all.push(header.trim().to_owned());
                    None
                }
                None => Some(name(header.trim())),
            };
        } else if let Some(rest) = line.strip_prefix("pub struct ") {
            let name = name(rest);
            all.extend(derived.drain(..).map(|derived| format!("{derived} for {name}")));
            all.push(name);
        } else if let Some(rest) = line.strip_prefix("pub use ") {
            let (_, names) = rest.trim_end_matches(';').rsplit_once("::").unwrap();
            let names = names.trim_matches(['{', '}']).split(", ");
            all.extend(names.map(str::to_owned));
        } else if let Some(rest) = line.strip_prefix("pub ") {
            // Not `pub(crate)`.
            let rest = rest.trim_start_matches("async ");
            let (kind, rest) = rest.split_once(' ').unwrap();
            if ["fn", "mod", "trait", "const", "type"].contains(&kind) {
                all.push(name(rest));
            }
        } else if let (Some(of), Some(rest)) = (&of, line.strip_prefix("    pub ")) {
            let rest = rest.trim_start_matches("async ").strip_prefix("fn ").unwrap();
            all.push(format!("{of}::{}", name(rest)));
        }
    }
    all
}

/// Where the list has to have this item.
fn expected(item: &str, module: &str) -> String {
    let Some((of, name)) = item.split_once(" for ") else {
        return match item {
            "Incoming" => format!("{module}::Incoming"),
            item => item.to_owned(),
        };
    };
    let trait_name = of.rsplit("::").next().unwrap();
    let shown = match name.split('<').next().unwrap() {
        "Incoming" => format!("{module}::Incoming"),
        _ => name.to_owned(),
    };
    match trait_name {
        "Clone" => format!("clones::<{shown}>"),
        "Debug" if shown.ends_with("Incoming") => format!("stream::<{shown}<'static>,"),
        "Debug" => format!("clones::<{shown}>"),
        "Stream" => format!("stream::<{shown}<'static>,"),
        "AsRawFd" if shown == "UnixDatagram" => "UnixDatagram::as_raw_fd".into(),
        "AsFd" | "AsRawFd" | "TryFrom<OwnedFd>" => format!("descriptor::<{shown}>"),
        "AsyncRead" | "AsyncWrite" => format!("bytes::<{shown}>"),
        "UnwindSafe" | "RefUnwindSafe" => format!("unwinds::<{shown}>"),
        "AsyncToSocketAddrs" if shown == "&T" => "addrs::<&&str>".into(),
        "AsyncToSocketAddrs" => format!("addrs::<{shown}>"),
        _ if of.starts_with("From<Async<") || of.starts_with("TryFrom<std::") => {
            format!("converts::<{shown},")
        }
        _ if of.starts_with("From<") && name.starts_with("Arc<Async<") => {
            format!("converts::<{},", of.trim_start_matches("From<").trim_end_matches('>'))
        }
        _ => format!("what is {item}?"),
    }
}

#[test]
fn the_list_is_complete() {
    let list = include_str!("surface/body.rs");
    let list: String = list.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let short = list.replace("net::", "");
    let (mut seen, mut missing) = (0, Vec::new());
    for (file, module) in
        [("lib", "net"), ("addr", "net"), ("tcp", "net"), ("udp", "net"), ("unix", "unix")]
    {
        let text = std::fs::read_to_string(source().join(file).with_extension("rs")).unwrap();
        for item in declared(&text) {
            // Nobody outside can name them.
            if file == "addr"
                && ["Sealed", "ToSocketAddrsFuture"].iter().any(|it| item.contains(it))
            {
                continue;
            }
            seen += 1;
            let expected = expected(&item, module);
            let is_whole = |text: &str| {
                text.match_indices(&expected).any(|(at, _)| {
                    let is_name = |c: char| c.is_alphanumeric() || c == '_';
                    let before = text[..at].chars().next_back();
                    let after = text[at + expected.len()..].chars().next();
                    !before.is_some_and(is_name) && !after.is_some_and(is_name)
                })
            };
            if !is_whole(&list) && !is_whole(&short) {
                missing.push(format!("{file}.rs: {item} as {expected}"));
            }
        }
    }
    // Or it was not understood.
    assert!(seen > 150, "{seen} items");
    assert!(missing.is_empty(), "{missing:#?}");
}
