//! A first look at a message that may have 64 KiB, so that decoding it takes time in proportion to its length.
//!
//! A name may end in a pointer to an earlier one, which ends in a pointer as well: 8,000 pointers in a row fit into a message, and 4,000
//! names that begin at the end of the row. hickory follows them all. So the look finds every name of the message that hickory would read,
//! refuses the message if one has more pointers than a name has labels or if all together are too long, and gives records that nobody asked
//! for a type whose content hickory does not read.

use hickory_resolver::proto::rr::RecordType;

/// A name has 127 labels at most (RFC 1035 §2.3.4: 255 bytes), so an honest one has no more pointers.
const POINTERS_MAX: usize = 127;
/// Labels and pointers that are followed in one message: what 5,000 records at the end of one long name would take is half a million.
/// An honest reply that fills 64 KiB has some 20,000.
const STEPS_MAX: usize = 65_536;
/// Questions in a reply: the one that was asked.
const QUESTIONS_MAX: usize = 1;
/// The first type of private use (RFC 6895 §3.1): nothing is known about its content.
const OPAQUE: u16 = 65_280;

pub(super) const HEADER_BYTES: usize = 12;

/// Looks at `message`, the reply to a question for `wanted`, and makes records of other types opaque.
pub(super) fn skim(message: &mut [u8], wanted: RecordType) -> Result<(), &'static str> {
    let count = |at| u16_at(message, at).map(usize::from);
    let questions = count(4).ok_or("it has no header")?;
    let mut records = 0;
    for at in [6, 8, 10] {
        records += count(at).ok_or("it has no header")?;
    }
    if questions > QUESTIONS_MAX {
        return Err("it has several questions");
    }
    let (mut at, mut steps) = (HEADER_BYTES, 0);
    for _ in 0..questions {
        at = name(message, at, &mut steps)? + 4;
    }
    for _ in 0..records {
        at = record(message, at, wanted, &mut steps)?;
    }
    Ok(())
}

/// Looks at the record at `at`; returns where it ends.
fn record(
    message: &mut [u8],
    at: usize,
    wanted: RecordType,
    steps: &mut usize,
) -> Result<usize, &'static str> {
    let head = name(message, at, steps)?;
    let (Some(kind), Some(length)) = (u16_at(message, head), u16_at(message, head + 8)) else {
        return Err("a record is cut off");
    };
    let data = head + 10;
    let end = data + usize::from(length);
    if end > message.len() {
        return Err("a record is cut off");
    }
    match RecordType::from(kind) {
        RecordType::A | RecordType::AAAA | RecordType::TXT | RecordType::OPT => {}
        RecordType::CNAME | RecordType::PTR => drop(name(message, data, steps)?),
        RecordType::MX if wanted == RecordType::MX => drop(name(message, data + 2, steps)?),
        RecordType::SRV if wanted == RecordType::SRV => drop(name(message, data + 6, steps)?),
        RecordType::SOA => {
            let second = name(message, data, steps)?;
            name(message, second, steps)?;
        }
        _ => message[head..head + 2].copy_from_slice(&OPAQUE.to_be_bytes()),
    }
    Ok(end)
}

/// Follows the name at `at`; returns where it ends, that is behind its first pointer or its root.
fn name(message: &[u8], mut at: usize, steps: &mut usize) -> Result<usize, &'static str> {
    let (mut start, mut end, mut pointers, mut length) = (at, None, 0, 0);
    loop {
        *steps += 1;
        if *steps > STEPS_MAX {
            return Err("its names are too long in all");
        }
        let byte = *message.get(at).ok_or("a name is cut off")?;
        match byte >> 6 {
            0b00 if byte == 0 => return Ok(end.unwrap_or(at + 1)),
            0b00 => {
                length += usize::from(byte) + 1;
                at += usize::from(byte) + 1;
            }
            0b11 => {
                let pointer = u16_at(message, at).ok_or("a name is cut off")?;
                end = end.or(Some(at + 2));
                at = usize::from(pointer & 0x3fff);
                if at >= start {
                    return Err("a name points forward");
                }
                start = at;
                pointers += 1;
            }
            _ => return Err("a name has a label of an unknown kind"),
        }
        if pointers > POINTERS_MAX {
            return Err("a name has too many pointers");
        }
        if length > 254 {
            return Err("a name is longer than 255 bytes");
        }
    }
}

fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    let bytes = message.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(questions: u16, answers: u16) -> Vec<u8> {
        let mut message = vec![0, 1, 0x81, 0x80];
        for count in [questions, answers, 0, 0] {
            message.extend(count.to_be_bytes());
        }
        message
    }

    fn record(name: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
        let mut record = name.to_vec();
        record.extend(kind.to_be_bytes());
        record.extend([0, 1, 0, 0, 0, 60]);
        record.extend((data.len() as u16).to_be_bytes());
        record.extend(data);
        record
    }

    /// Goal: names that never end, or that are too long, are refused (FAULTS D3). Method: each by hand.
    #[test]
    fn names() {
        let a = |name: &[u8]| {
            let mut message = header(0, 1);
            message.extend(record(name, 1, &[192, 0, 2, 1]));
            skim(&mut message, RecordType::A)
        };
        assert_eq!(a(b"\x03www\x07example\0"), Ok(()));
        // To itself, forward, beyond the end, into the header.
        for pointer in [b"\xc0\x0c", b"\xc0\x0e", b"\xff\xff", b"\xc0\x02"] {
            assert!(a(pointer).is_err(), "{pointer:?}");
        }
        assert_eq!(a(&[&[63; 64][..], &[63; 64], &[63; 64], &[61; 62], &[0]].concat()), Ok(()));
        assert!(a(&[&[63; 64][..], &[63; 64], &[63; 64], &[62; 63], &[0]].concat()).is_err());
        assert!(a(b"\x40").is_err());
        assert!(a(b"\x05cut").is_err());
    }

    /// Goal: 8,000 pointers in a row are not followed 4,000 times (FAULTS D4). Method: such a row, and names at its end in all places where a name may be.
    #[test]
    fn rows_of_pointers() {
        // The row is the content of a record that nobody reads; each pointer leads to the one before, the first one to a root.
        let first = HEADER_BYTES as u16 + 11;
        let mut row = vec![0; 2];
        for index in 0..8_000_u16 {
            let before = if index == 0 { first } else { first + 2 * index };
            row.extend((0xc000 | before).to_be_bytes());
        }
        let end = (0xc000 | (first + 2 * 8_000)).to_be_bytes();
        let mut message = header(0, 2);
        message.extend(record(&[0], 10, &row));
        let with = |name: &[u8], kind, data: &[u8], wanted| {
            let mut message = message.clone();
            let start = message.len();
            message.extend(record(name, kind, data));
            let result = skim(&mut message, wanted);
            (result, u16_at(&message, start + name.len()).unwrap())
        };
        let refused = Err("a name has too many pointers");
        assert_eq!(with(&end, 1, &[192, 0, 2, 1], RecordType::A).0, refused);
        assert_eq!(with(&[0], 5, &end, RecordType::A).0, refused);
        assert_eq!(with(&[0], 6, &[&[0], &end[..], &[0; 20]].concat(), RecordType::A).0, refused);
        let mx = [&[0, 1], &end[..]].concat();
        assert_eq!(with(&[0], 15, &mx, RecordType::MX).0, refused);
        // Nobody asked for these, so nobody reads them.
        assert_eq!(with(&[0], 15, &mx, RecordType::A), (Ok(()), OPAQUE));
        assert_eq!(with(&[0], 2, &end, RecordType::A), (Ok(()), OPAQUE));
        assert_eq!(with(&[0], 5, &[0], RecordType::A), (Ok(()), 5));
    }

    /// Goal: the work that a message makes is bounded, whatever its 64 KiB are (FAULTS D4). Method: names as long as they may be, of one-letter labels and as many pointers,
    /// for as many records as there is room for; and an honest reply of that size.
    #[test]
    fn many_long_names() {
        let mut message = header(0, 0);
        message.extend(record(&[0], 10, &[0; 126 * 4]));
        let mut end = 0;
        for index in 0..126 {
            let at = HEADER_BYTES + 11 + 4 * index;
            let before = if index == 0 { HEADER_BYTES } else { at - 4 };
            let label = [[1, b'a'], (0xc000 | before as u16).to_be_bytes()].concat();
            message[at..at + 4].copy_from_slice(&label);
            end = at as u16;
        }
        let fill = |mut message: Vec<u8>, name: &[u8]| {
            let mut count = 1_u16;
            while message.len() < 65_500 {
                message.extend(record(name, 1, &[192, 0, 2, 1]));
                count += 1;
            }
            message[6..8].copy_from_slice(&count.to_be_bytes());
            (skim(&mut message, RecordType::A), count)
        };
        let (result, count) = fill(message.clone(), &(0xc000 | end).to_be_bytes());
        assert_eq!(result, Err("its names are too long in all"));
        assert!(count > 4_000);
        let mut honest = header(0, 0);
        honest.extend(record(b"\x03www\x07example\x03org\0", 1, &[192, 0, 2, 1]));
        assert_eq!(fill(honest, b"\xc0\x0c").0, Ok(()));
    }
}
