//! Which protocol a connection speaks, told from its first bytes.

/// What an HTTP/2 client sends first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// `None`: it takes more bytes to tell. The whole preface has to be there, because hyper cannot shut a connection down before.
pub(super) fn detect(seen: &[u8]) -> Option<Protocol> {
    let common = seen.len().min(PREFACE.len());
    if seen[..common] != PREFACE[..common] {
        return Some(Protocol::Http1);
    }
    (seen.len() >= PREFACE.len()).then_some(Protocol::Http2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_at_the_first_byte_that_differs() {
        assert_eq!(detect(b""), None);
        assert_eq!(detect(b"G"), Some(Protocol::Http1));
        assert_eq!(detect(b"P"), None);
        assert_eq!(detect(b"PO"), Some(Protocol::Http1));
        assert_eq!(detect(b"PRI * HTTP/2.0\r\n\r\nXX"), Some(Protocol::Http1));
    }

    #[test]
    fn waits_for_the_whole_preface() {
        for length in 0..PREFACE.len() {
            assert_eq!(detect(&PREFACE[..length]), None);
        }
        assert_eq!(detect(PREFACE), Some(Protocol::Http2));
        assert_eq!(detect(&[PREFACE, b"\0\0\0"].concat()), Some(Protocol::Http2));
    }
}
