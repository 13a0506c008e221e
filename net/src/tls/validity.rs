//! From when to when a certificate holds. webpki checks that and does not tell.

use std::time::{SystemTime, UNIX_EPOCH};

use der::asn1::{GeneralizedTime, UtcTime};
use der::{Decode, Reader, SliceReader, Tag};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Validity {
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
}

impl Validity {
    /// Source: RFC 5280 §4.1.
    pub(crate) fn of(certificate: &[u8]) -> der::Result<Validity> {
        let mut reader = SliceReader::new(certificate)?;
        let times = reader.sequence(|certificate| {
            let times = certificate.sequence(|body| {
                // The version has a tag of its own and may be missing.
                if body.peek_header()?.tag.is_context_specific() {
                    body.tlv_bytes()?;
                }
                let (_serial, _algorithm, _issuer) =
                    (body.tlv_bytes()?, body.tlv_bytes()?, body.tlv_bytes()?);
                let times = body.sequence(|validity| Ok((time(validity)?, time(validity)?)))?;
                skip(body)?;
                Ok(times)
            })?;
            skip(certificate)?;
            Ok(times)
        })?;
        Ok(Validity { not_before: times.0, not_after: times.1 })
    }
}

fn time<'a>(reader: &mut impl Reader<'a>) -> der::Result<SystemTime> {
    let since_epoch = match reader.peek_header()?.tag {
        Tag::UtcTime => UtcTime::decode(reader)?.to_unix_duration(),
        _ => GeneralizedTime::decode(reader)?.to_unix_duration(),
    };
    UNIX_EPOCH.checked_add(since_epoch).ok_or_else(|| Tag::GeneralizedTime.value_error())
}

fn skip<'a>(reader: &mut impl Reader<'a>) -> der::Result<()> {
    let rest = reader.remaining_len();
    reader.read_slice(rest).map(drop)
}
