//! Answers that still hold. hickory's cache, for sifted replies.

use std::time::{Duration, Instant};

use hickory_resolver::config::ResolverOpts;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::CNAME;
use hickory_resolver::proto::rr::{RData, Record};
use hickory_resolver::{ResponseCache, TtlConfig};

use super::sift::Reply;

/// How many answers are kept, and for how long at least and at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) size: u64,
    pub(super) min_ttl: Duration,
    pub(super) max_ttl: Duration,
    pub(super) max_negative_ttl: Duration,
}

/// More than any server can say.
const TTL_MAX: Duration = Duration::from_secs(u32::MAX as u64);

#[derive(Debug)]
pub(super) struct Cache {
    /// `None` if it keeps nothing.
    answers: Option<ResponseCache>,
    limits: Limits,
}

impl Cache {
    pub(super) fn new(limits: Limits) -> Cache {
        let mut options = ResolverOpts::default();
        // A clock has an end: hickory adds to it.
        let sane = |ttl: Duration| ttl.min(TTL_MAX);
        options.positive_min_ttl = Some(sane(limits.min_ttl));
        options.positive_max_ttl = Some(sane(limits.max_ttl.max(limits.min_ttl)));
        options.negative_min_ttl = Some(Duration::ZERO);
        options.negative_max_ttl = Some(sane(limits.max_negative_ttl));
        let cache = || ResponseCache::new(limits.size, TtlConfig::from_opts(&options));
        Cache { answers: (limits.size > 0).then(cache), limits }
    }

    /// `asked`: when it was asked for. The reply cannot be older.
    pub(super) fn insert(&self, question: &Query, reply: &Reply, asked: Instant) {
        let Some(answers) = &self.answers else { return };
        if !self.is_kept(reply) {
            return;
        }
        let result = match reply {
            Reply::Records(records) => Ok(message(question, records.iter().cloned())),
            Reply::Alias { target, ttl, .. } => {
                let alias = RData::CNAME(CNAME(target.clone()));
                Ok(message(question, [Record::from_rdata(question.name.clone(), *ttl, alias)]))
            }
            Reply::Nothing { exists, ttl } => {
                let code = if *exists { ResponseCode::NoError } else { ResponseCode::NXDomain };
                let mut nothing = NoRecords::new(question.clone(), code);
                nothing.negative_ttl = *ttl;
                Err(NetError::from(nothing))
            }
        };
        answers.insert(question.clone(), result, asked);
    }

    /// A time to live of zero means "for this question only" (RFC 1035 §3.2.1), and one that is not given means nothing (RFC 2308 §5).
    fn is_kept(&self, reply: &Reply) -> bool {
        match reply {
            Reply::Records(records) => {
                records.first().is_some_and(|record| record.ttl > 0) || self.is_stretched()
            }
            Reply::Alias { ttl, .. } => *ttl > 0 || self.is_stretched(),
            Reply::Nothing { ttl, .. } => ttl.is_some_and(|ttl| ttl > 0),
        }
    }

    fn is_stretched(&self) -> bool {
        self.limits.min_ttl >= Duration::from_secs(1)
    }

    pub(super) fn find(&self, question: &Query, now: Instant) -> Option<Reply> {
        match self.answers.as_ref()?.get(question, now)? {
            Ok(message) => match message.answers.first() {
                Some(Record { data: RData::CNAME(target), ttl, .. }) => {
                    Some(Reply::Alias { target: target.0.clone(), aliases: 1, ttl: *ttl })
                }
                _ => Some(Reply::Records(message.answers)),
            },
            Err(NetError::Dns(DnsError::NoRecordsFound(nothing))) => Some(Reply::Nothing {
                exists: nothing.response_code == ResponseCode::NoError,
                ttl: nothing.negative_ttl,
            }),
            Err(_) => None,
        }
    }

    pub(super) fn remove_all(&self) -> Cache {
        Cache::new(self.limits)
    }
}

fn message(question: &Query, records: impl IntoIterator<Item = Record>) -> Message {
    let mut message = Message::response(0, OpCode::Query);
    message.add_query(question.clone());
    message.add_answers(records);
    message
}
