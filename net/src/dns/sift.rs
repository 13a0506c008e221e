//! What of a reply concerns the question.

use std::collections::HashSet;

use hickory_resolver::proto::op::{Message, Query, ResponseCode};
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record};

/// Records of one answer that are kept.
pub(super) const RECORDS_MAX: usize = 256;
/// Aliases (CNAME) on the way from a name to its records, over all replies.
pub(super) const ALIASES_MAX: usize = 16;

/// What a server says about a question.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    /// Records of the type that was asked for, and nothing else. All have the same time to live.
    Records(Vec<Record>),
    /// The name is an alias, and the reply does not say what it leads to. `aliases` were passed so far.
    Alias { target: Name, aliases: usize, ttl: u32 },
    /// The name does not exist, or has no such record; `ttl` is how long that holds, if the server says so.
    Nothing { exists: bool, ttl: Option<u32> },
}

/// Why a reply is of no use although it is well formed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Unfit {
    Code(ResponseCode),
    /// It has no answer, is not responsible for the name, and asks nobody who is: a referral, or an empty reply of a server that has lost its zone.
    Lame,
    AliasLoop,
    TooManyAliases,
}

/// Sifts the reply to `question`: follows its aliases, and leaves out every record of another name, type or class.
pub(super) fn sift(question: &Query, message: &Message) -> Result<Reply, Unfit> {
    let code = message.metadata.response_code;
    if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return Err(Unfit::Code(code));
    }
    let mut name = &question.name;
    let mut ttl = u32::MAX;
    let mut passed = HashSet::new();
    loop {
        let here = || {
            let is_here =
                |record: &&Record| record.dns_class == DNSClass::IN && record.name == *name;
            message.answers.iter().filter(is_here)
        };
        let is_wanted = |record: &&Record| record.record_type() == question.query_type;
        let mut records: Vec<Record> =
            here().filter(is_wanted).take(RECORDS_MAX).cloned().collect();
        if !records.is_empty() {
            ttl = records.iter().map(|record| honest(record.ttl)).fold(ttl, u32::min);
            records.iter_mut().for_each(|record| record.ttl = ttl);
            return Ok(Reply::Records(records));
        }
        let alias = here().find_map(|record| match &record.data {
            RData::CNAME(target) => Some((&target.0, honest(record.ttl))),
            _ => None,
        });
        let Some((target, alias_ttl)) = alias else { break };
        if !passed.insert(name) || passed.contains(target) {
            return Err(Unfit::AliasLoop);
        }
        if passed.len() > ALIASES_MAX {
            return Err(Unfit::TooManyAliases);
        }
        (name, ttl) = (target, ttl.min(alias_ttl));
    }
    if code == ResponseCode::NXDomain || passed.is_empty() {
        let exists = code == ResponseCode::NoError;
        let own_ttl = negative_ttl(name, message);
        let is_responsible = message.authoritative || message.recursion_available;
        if exists && !is_responsible && own_ttl.is_none() {
            return Err(Unfit::Lame);
        }
        return Ok(Reply::Nothing { exists, ttl: own_ttl.map(|own| own.min(ttl)) });
    }
    Ok(Reply::Alias { target: name.clone(), aliases: passed.len(), ttl })
}

/// How long "there is none" holds: the smaller of the SOA record's time to live and its last field (RFC 2308 §5). A zone that the name is not in has no say.
fn negative_ttl(name: &Name, message: &Message) -> Option<u32> {
    message.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) if record.name.zone_of(name) => {
            Some(honest(record.ttl).min(honest(soa.minimum)))
        }
        _ => None,
    })
}

/// A time to live with its highest bit set is none (RFC 2181 §8).
fn honest(ttl: u32) -> u32 {
    if ttl > i32::MAX as u32 { 0 } else { ttl }
}
