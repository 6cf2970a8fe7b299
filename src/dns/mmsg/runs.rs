//! Which responses of one flow leave in one message: a run, which the kernel cuts into datagrams again (`UDP_SEGMENT`).
//!
//! All of a run are equally long, but for the last one, which may be shorter. Responses carry IDs, so that their order within a flow
//! means nothing to those who send bursts: longest first makes the fewest runs. To others it is kept: simple clients (and tests of servers)
//! take the next datagram for the next answer.
//!
//! Never here: a pointer, a socket, another flow's responses.

use std::cmp::Reverse;

/// Most responses in one message: what every kernel with `UDP_SEGMENT` takes.
pub const RUN_MAX: usize = 64;
/// Most bytes in one message: the longest UDP datagram there is, less room for whatever is in front of it.
pub const RUN_BYTES_MAX: usize = 65_000;

/// A response: where it lies in the memory for responses, and its length in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// First byte.
    pub at: u32,
    /// Bytes.
    pub length: u16,
}

/// Puts the responses to queries that came together in the order in which they leave. Equally long ones stay as they were.
pub fn arrange(pieces: &mut [Piece]) {
    if pieces.windows(2).any(|pair| matches!(pair, [one, next] if one.length != next.length)) {
        pieces.sort_unstable_by_key(|piece| (Reverse(piece.length), piece.at));
    }
}

/// How many of the first ones leave as one message; 0 if there is none.
pub fn first_run(pieces: &[Piece]) -> usize {
    let Some(segment) = pieces.first().map(|piece| piece.length) else { return 0 };
    let fit = if segment == 0 { 1 } else { RUN_MAX.min(RUN_BYTES_MAX / usize::from(segment)).max(1) };
    let equal = pieces.iter().take(fit).take_while(|piece| piece.length == segment).count();
    let ends_shorter = equal < fit && pieces.get(equal).is_some_and(|piece| 0 < piece.length && piece.length < segment);
    equal + usize::from(ends_shorter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(lengths: &[u16]) -> Vec<Piece> {
        lengths.iter().zip((0..).step_by(2000)).map(|(&length, at)| Piece { at, length }).collect()
    }

    /// The lengths of each message.
    fn messages(lengths: &[u16]) -> Vec<Vec<u16>> {
        let mut pieces = pieces(lengths);
        arrange(&mut pieces);
        let (mut rest, mut messages) = (&pieces[..], Vec::new());
        while !rest.is_empty() {
            let (run, others) = rest.split_at(first_run(rest));
            messages.push(run.iter().map(|piece| piece.length).collect());
            rest = others;
        }
        messages
    }

    #[test]
    fn a_run_is_equally_long_but_for_its_last_which_may_be_shorter() {
        for (lengths, expected) in [
            (&[][..], vec![]),
            (&[50], vec![vec![50]]),
            (&[50, 50, 50], vec![vec![50, 50, 50]]),
            (&[50, 50, 40], vec![vec![50, 50, 40]]),
            (&[40, 50, 40, 50, 40], vec![vec![50, 50, 40], vec![40, 40]]),
            (&[1, 2, 3, 4, 5], vec![vec![5, 4], vec![3, 2], vec![1]]),
            (&[0, 9, 9, 0], vec![vec![9, 9], vec![0], vec![0]]),
        ] {
            assert_eq!(messages(lengths), expected, "{lengths:?}");
        }
    }

    #[test]
    fn a_run_ends_at_its_limits() {
        assert_eq!(messages(&[100; 150]).iter().map(Vec::len).collect::<Vec<_>>(), [64, 64, 22]);
        assert_eq!(messages(&[1232; 60]).iter().map(Vec::len).collect::<Vec<_>>(), [52, 8], "52 × 1,232 = 64,064 bytes");
        let mut lengths = [100; 65];
        lengths[64] = 90;
        assert_eq!(messages(&lengths).iter().map(Vec::len).collect::<Vec<_>>(), [64, 1]);
    }

    #[test]
    fn equally_long_responses_keep_their_order() {
        let mut all = pieces(&[30, 40, 30, 40]);
        arrange(&mut all);
        assert_eq!(all.iter().map(|piece| piece.at).collect::<Vec<_>>(), [2000, 6000, 0, 4000]);
        let mut same = pieces(&[30, 30, 30]);
        arrange(&mut same);
        assert_eq!(same, pieces(&[30, 30, 30]));
    }
}
