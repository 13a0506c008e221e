//! What of a batch the kernel gets as one message, and what of it has been sent then. It knows no socket.

use super::Transmit;
use crate::sys::batch::Piece;

/// Each datagram by itself.
pub(super) fn cut<'a>(batch: &[Transmit<'a>]) -> impl Iterator<Item = Piece<'a>> {
    batch.iter().flat_map(|message| {
        let bytes = message.bytes;
        let piece_bytes = message.segment_bytes.unwrap_or(bytes.len()).max(1);
        // One without bytes is one, too.
        let empty = bytes.is_empty().then_some(bytes);
        let all = empty.into_iter().chain(bytes.chunks(piece_bytes));
        all.map(|bytes| piece(message, bytes))
    })
}

/// Takes off so many pieces of `cut`, which have been sent; how many messages are done.
pub(super) fn advance(batch: &mut [Transmit<'_>], mut pieces: usize) -> usize {
    for (index, message) in batch.iter_mut().enumerate() {
        let own = message.datagrams();
        if pieces < own {
            let sent = message.segment_bytes.map_or(0, |bytes| bytes * pieces);
            message.bytes = &message.bytes[sent..];
            return index;
        }
        pieces -= own;
    }
    batch.len()
}

fn piece<'a>(message: &Transmit<'a>, bytes: &'a [u8]) -> Piece<'a> {
    let Transmit { to, ecn, from, .. } = *message;
    let class = ecn.map(|ecn| ecn as u8);
    Piece { bytes, to, segment_bytes: None, joins: false, class, from }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) use self::whole::{Runs, whole};

#[cfg(any(target_os = "linux", target_os = "android"))]
mod whole {
    use super::super::{BATCH_MAX, MESSAGE_BYTES_MAX, SEGMENTS_MAX, Transmit};
    use super::{Piece, piece};

    /// Datagrams up to this length fit into a packet of every network that IPv6 may run on (1,280 bytes, RFC 8200 §5).
    const JOINED_BYTES_MAX: usize = 1_280 - 40 - 8;

    /// Messages that the kernel gets as one, because they are equal but for their bytes.
    pub(in super::super) struct Runs {
        /// How many are in the run that begins here; 0 inside of one.
        lens: [u8; BATCH_MAX],
        count: usize,
    }

    impl Runs {
        /// Of not more than [`BATCH_MAX`] messages.
        pub(in super::super) fn of(batch: &[Transmit<'_>]) -> Runs {
            let mut lens = [1; BATCH_MAX];
            let mut first = 0;
            for index in 1..batch.len() {
                if joins(&batch[first..index], &batch[index]) {
                    lens[first] += 1;
                    lens[index] = 0;
                } else {
                    first = index;
                }
            }
            Runs { lens, count: batch.len() }
        }

        /// How many messages so many runs are.
        pub(in super::super) fn messages(&self, runs: usize) -> usize {
            let mut starts = (0..self.count).filter(|&index| self.lens[index] > 0);
            starts.nth(runs).unwrap_or(self.count)
        }

        /// Whether the kernel has to cut the first one.
        pub(in super::super) fn are_cut_first(&self, batch: &[Transmit<'_>]) -> bool {
            self.lens[0] > 1 || batch[0].datagrams() > 1
        }
    }

    fn joins(run: &[Transmit<'_>], next: &Transmit<'_>) -> bool {
        let (first, last) = (&run[0], &run[run.len() - 1]);
        let len = first.bytes.len();
        let is_one = |message: &Transmit<'_>| !message.bytes.is_empty() && message.datagrams() == 1;
        let is_alike = (first.to, first.ecn, first.from) == (next.to, next.ecn, next.from);
        let fits = run.len() < SEGMENTS_MAX && (run.len() + 1) * len <= MESSAGE_BYTES_MAX;
        // Only the last one may be shorter.
        len <= JOINED_BYTES_MAX
            && last.bytes.len() == len
            && next.bytes.len() <= len
            && fits
            && is_alike
            && is_one(first)
            && is_one(next)
    }

    /// A message for each run, which the kernel cuts.
    pub(in super::super) fn whole<'a>(
        batch: &[Transmit<'a>],
        runs: &Runs,
    ) -> impl Iterator<Item = Piece<'a>> {
        batch.iter().zip(runs.lens).map(|(message, len)| {
            let segment_bytes = match len {
                // `Transmit::check` has seen that it fits; a single one is an ordinary datagram.
                1 => message.segment_bytes.filter(|_| message.datagrams() > 1),
                _ => Some(message.bytes.len()),
            };
            let segment_bytes = segment_bytes.and_then(|bytes| u16::try_from(bytes).ok());
            Piece { segment_bytes, joins: len == 0, ..piece(message, message.bytes) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connected(bytes: &[u8], segment_bytes: usize) -> Transmit<'_> {
        Transmit::connected(bytes).in_segments(segment_bytes)
    }

    #[test]
    fn a_message_is_cut() {
        let lens = |message| cut(&[message]).map(|piece| piece.bytes.len()).collect::<Vec<_>>();
        assert_eq!(lens(connected(&[0; 25], 10)), [10, 10, 5]);
        assert_eq!(lens(connected(&[], 10)), [0]);
        assert_eq!(lens(Transmit::connected(&[])), [0]);
        assert_eq!(lens(Transmit::connected(&[0; 25])), [25]);
    }

    #[test]
    fn what_has_been_sent_is_taken_off() {
        let bytes: Vec<u8> = (0..25).collect();
        let messages = [Transmit::connected(&bytes), connected(&bytes, 10), connected(&[], 10)];
        for (pieces, done, left) in [(0, 0, 25), (1, 1, 25), (2, 1, 15), (3, 1, 5)] {
            let mut batch = messages;
            assert_eq!(advance(&mut batch, pieces), done);
            assert_eq!(batch[1].bytes(), &bytes[25 - left..]);
        }
        assert_eq!(advance(&mut { messages }, 4), 2);
        assert_eq!(advance(&mut { messages }, 5), 3);
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[test]
    fn what_is_alike_goes_together() {
        use super::super::Ecn;
        let bytes = [0; 2_000];
        let of = |len: usize| Transmit::connected(&bytes[..len]);
        // The length of the first datagram of each message, and whether it is another's.
        let runs = |batch: &[Transmit<'_>]| -> Vec<usize> {
            let runs = Runs::of(batch);
            let ends = (1..).map(|count| runs.messages(count));
            let last = batch.len();
            let mut all: Vec<usize> = ends.take_while(|&end| end < last).collect();
            all.push(last);
            all
        };
        // A shorter one is the last one, a longer one the first.
        assert_eq!(runs(&[of(9), of(9), of(5), of(9), of(9), of(10)]), [3, 5, 6]);
        // Nothing, or much, goes alone.
        assert_eq!(runs(&[of(0), of(0), of(9), of(0)]), [1, 2, 3, 4]);
        assert_eq!(runs(&[of(1_233), of(1_233), of(1_232), of(1_232)]), [1, 2, 4]);
        // Segments stay what they are.
        assert_eq!(runs(&[connected(&bytes[..9], 9), of(9), connected(&bytes[..9], 5)]), [2, 3]);
        // Nor more bytes than a message has.
        assert_eq!(runs(&[of(1_232); 64]), [53, 64]);
        assert_eq!(runs(&[of(9); 64]), [64]);
        let (here, there) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        let to = |addr| Transmit::new(&bytes[..9], addr);
        assert_eq!(runs(&[to(here), to(here), to(there), of(9)]), [2, 3, 4]);
        assert_eq!(runs(&[of(9), of(9).with_ecn(Ecn::Ce), of(9).with_ecn(Ecn::Ce)]), [1, 3]);

        let batch = [of(9), of(9), of(5), connected(&bytes[..9], 5), of(10)];
        let pieces: Vec<_> = whole(&batch, &Runs::of(&batch))
            .map(|piece| (piece.bytes.len(), piece.segment_bytes, piece.joins))
            .collect();
        let expected = [
            (9, Some(9), false),
            (9, Some(9), true),
            (5, Some(5), true),
            (9, Some(5), false),
            (10, None, false),
        ];
        assert_eq!(pieces, expected);
    }
}
