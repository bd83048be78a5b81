//! Frames of the packets of one m-line, in order. A gap waits for its repair, by time and never by
//! count; then video goes on with the next key frame.

use std::collections::BTreeMap;
use std::time::Duration;

use sealroute_e2ee::Codec;

use crate::depacketize::{self, Mark};

/// How long a gap may be open: a few round trips of the worst paths that carry a conversation.
const REPAIR: Duration = Duration::from_millis(400);
/// How often a key frame is asked for.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Of the longest frames, and of what comes behind a gap.
const MAX_PIECES: usize = 2_048;

/// One packet, without its headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// With its rollovers counted.
    pub sequence: u64,
    /// Of the frame, as in the packet.
    pub timestamp: u32,
    /// RTP's.
    pub marker: bool,
    /// Empty: padding.
    pub payload: Vec<u8>,
}

/// As it goes into the session, which opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Of its packets.
    pub timestamp: u32,
    /// Decoding may begin with it.
    pub is_key_frame: bool,
    /// As its sender packetized it.
    pub bytes: Vec<u8>,
}

#[derive(Debug)]
struct Held {
    piece: Piece,
    /// None: padding.
    mark: Option<Mark>,
}

/// Of one sender's packets of one codec.
#[derive(Debug)]
pub struct Assembler {
    codec: Codec,
    held: BTreeMap<u64, Held>,
    /// The packet that the next frame begins with. None: the next key frame's.
    next: Option<u64>,
    /// Since when something is missing that others came behind.
    missing: Option<Duration>,
    asked: Option<Duration>,
    skipped: u64,
}

impl Assembler {
    /// Begins with a key frame.
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            held: BTreeMap::new(),
            next: None,
            missing: None,
            asked: None,
            skipped: 0,
        }
    }

    /// What it puts together.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// How often it went on behind a gap.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Takes a packet; then [`Self::next_frame`] until it gives none.
    pub fn push(&mut self, piece: Piece) {
        // No path gets as far as the last number.
        let is_late = self.next.is_some_and(|next| piece.sequence < next);
        if is_late || piece.sequence == u64::MAX {
            return;
        }
        let before = piece
            .sequence
            .checked_sub(1)
            .and_then(|at| self.held.get(&at));
        let is_first = before.is_none_or(|before| before.piece.timestamp != piece.timestamp);
        let mark = depacketize::mark(self.codec, &piece.payload, is_first);
        if mark.is_none() && !piece.payload.is_empty() {
            return;
        }
        let (sequence, timestamp) = (piece.sequence, piece.timestamp);
        self.held.entry(sequence).or_insert(Held { piece, mark });
        self.look_again(sequence + 1, timestamp);
        while self.held.len() > MAX_PIECES {
            self.held.pop_first();
        }
    }

    /// The packet behind one that came late is not the first of its frame any more.
    fn look_again(&mut self, sequence: u64, timestamp: u32) {
        let codec = self.codec;
        if let Some(held) = self.held.get_mut(&sequence)
            && !held.piece.payload.is_empty()
        {
            let is_first = held.piece.timestamp != timestamp;
            held.mark = depacketize::mark(codec, &held.piece.payload, is_first);
        }
    }

    /// The next whole frame, or none yet.
    pub fn next_frame(&mut self, now: Duration) -> Option<Frame> {
        loop {
            let next = self.next.or_else(|| self.begin())?;
            self.next = Some(next);
            let Some(first) = self.held.get(&next) else {
                self.wait(now)?;
                continue;
            };
            let Some(mark) = first.mark else {
                self.take(next);
                continue;
            };
            if !mark.is_start {
                // Its beginning was never sent, or is another frame's end.
                self.skip();
                continue;
            }
            let Some(last) = self.end_of(next) else {
                self.wait(now)?;
                continue;
            };
            if let Some(frame) = self.put_together(next, last, mark.is_key_frame) {
                return Some(frame);
            }
        }
    }

    /// Whether a key frame is requested now; it is not requested again for a second.
    pub fn takes_key_frame_request(&mut self, now: Duration) -> bool {
        let is_recent = self.asked.is_some_and(|asked| now < asked + ASK_EVERY);
        if self.codec == Codec::Opus || self.next.is_some() || is_recent {
            return false;
        }
        self.asked = Some(now);
        true
    }

    /// When [`Self::next_frame`] may go on though nothing came.
    pub fn deadline(&self) -> Option<Duration> {
        self.missing.map(|since| since + REPAIR)
    }

    /// Where the first key frame begins; what is before it is of no use.
    fn begin(&mut self) -> Option<u64> {
        let is_key_frame = |held: &Held| held.mark.is_some_and(|mark| mark.is_key_frame);
        let (&at, _) = self.held.iter().find(|(_, held)| is_key_frame(held))?;
        self.held = self.held.split_off(&at);
        Some(at)
    }

    /// None while what is missing may still come. Else it is given up.
    fn wait(&mut self, now: Duration) -> Option<()> {
        let next = self.next?;
        let last = self.held.last_key_value().map(|(at, _)| *at);
        let is_behind = last.is_some_and(|last| self.end_of_run(next) <= last);
        if !is_behind {
            self.missing = None;
            return None;
        }
        let since = *self.missing.get_or_insert(now);
        if now < since + REPAIR {
            return None;
        }
        self.skip();
        Some(())
    }

    /// The first packet that is missing from here on.
    fn end_of_run(&self, from: u64) -> u64 {
        let run = self.held.range(from..).zip(from..);
        run.take_while(|((at, _), expected)| **at == *expected)
            .count() as u64
            + from
    }

    fn skip(&mut self) {
        self.skipped += 1;
        self.missing = None;
        if let Some(next) = self.next.take() {
            // Not even if it is a key frame: it is the one that is not whole.
            self.held = self.held.split_off(&(next + 1));
        }
    }

    /// The last packet of the frame that begins there, if all of it is there.
    fn end_of(&self, first: u64) -> Option<u64> {
        let timestamp = self.held.get(&first)?.piece.timestamp;
        for (&at, expected) in self.held.range(first..).map(|(at, _)| at).zip(first..) {
            let held = self.held.get(&at).filter(|_| at == expected)?;
            let is_other = held.piece.timestamp != timestamp
                || (at > first && held.mark.is_some_and(|mark| mark.is_start));
            if is_other {
                // Its sender marks no ends.
                return Some(at - 1);
            }
            if held.piece.marker || held.mark.is_some_and(|mark| mark.is_end) {
                return Some(at);
            }
        }
        None
    }

    fn put_together(&mut self, first: u64, last: u64, is_key_frame: bool) -> Option<Frame> {
        let rest = self.held.split_off(&(last + 1));
        let taken = std::mem::replace(&mut self.held, rest);
        let timestamp = taken.get(&first)?.piece.timestamp;
        (self.next, self.missing) = (Some(last + 1), None);
        let parts = taken.values().filter_map(|held| {
            let mark = held.mark?;
            held.piece.payload.get(mark.skip..)
        });
        let Some(bytes) = depacketize::frame(self.codec, parts) else {
            self.next = None;
            self.skipped += 1;
            return None;
        };
        Some(Frame {
            timestamp,
            is_key_frame,
            bytes,
        })
    }

    fn take(&mut self, at: u64) {
        self.held.remove(&at);
        (self.next, self.missing) = (Some(at + 1), None);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};
    use sealroute_e2ee::Codec;

    use super::{Assembler, Frame, Piece};
    use crate::packetizer::{Packetizer, tests::packets};

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Frames of a codec's shape; the first one is a key frame.
    fn frames(codec: Codec, sizes: &[usize]) -> Vec<(Vec<u8>, bool)> {
        let rows = sizes.iter().enumerate();
        rows.map(|(at, size)| {
            let is_key = at % 5 == 0;
            let body = vec![at as u8 | 1; *size];
            let frame = match codec {
                Codec::Vp8 => [&[u8::from(!is_key)][..], &body].concat(),
                Codec::H264 if is_key => {
                    let start = [0, 0, 0, 1];
                    [
                        &start[..],
                        &[0x67, 1],
                        &start,
                        &[0x68, 2],
                        &start,
                        &[0x65],
                        &body,
                    ]
                    .concat()
                }
                Codec::H264 => [&[0, 0, 0, 1, 0x41][..], &body].concat(),
                // A sequence header with its size, then a frame with its own.
                Codec::Av1 => {
                    let mut size = Vec::new();
                    let mut left = body.len();
                    while left >= 0x80 {
                        size.push(left as u8 | 0x80);
                        left >>= 7;
                    }
                    size.push(left as u8);
                    let head: &[u8] = if is_key { &[0x0A, 2, 9, 9] } else { &[] };
                    [head, &[0x32], &size, &body].concat()
                }
                _ => body,
            };
            (frame, is_key)
        })
        .collect()
    }

    fn pieces(codec: Codec, frames: &[(Vec<u8>, bool)], first: u64) -> Vec<Piece> {
        let mut packetizer = Packetizer::default();
        let mut pieces = Vec::new();
        for (at, (frame, is_key)) in frames.iter().enumerate() {
            for packet in packets(&mut packetizer, codec, frame, *is_key) {
                pieces.push(Piece {
                    sequence: first + pieces.len() as u64,
                    timestamp: 3_000 * at as u32,
                    marker: packet.is_last_of_frame(),
                    payload: packet.payload().to_vec(),
                });
            }
        }
        pieces
    }

    fn feed(assembler: &mut Assembler, pieces: impl IntoIterator<Item = Piece>) {
        for piece in pieces {
            assembler.push(piece);
        }
    }

    fn all(assembler: &mut Assembler, now: Duration) -> Vec<Frame> {
        std::iter::from_fn(|| assembler.next_frame(now)).collect()
    }

    const CODECS: [Codec; 5] = [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1];

    #[test]
    fn frames_come_out_as_they_went_in_whatever_the_order_of_their_packets() {
        for codec in CODECS {
            let sent = frames(codec, &[3_000, 10, 1_093, 1_094, 1_100, 5_000, 1, 2_200]);
            let made = pieces(codec, &sent, 65_000);
            // The first frame in order, the others turned around in groups.
            let (head, tail) = made.split_at(4);
            let mut mixed = head.to_vec();
            mixed.extend(tail.chunks(5).flat_map(|chunk| chunk.iter().rev().cloned()));
            let mut assembler = Assembler::new(codec);
            let mut got = Vec::new();
            for piece in mixed {
                assembler.push(piece);
                got.extend(all(&mut assembler, ms(0)));
            }
            let bytes: Vec<&[u8]> = got.iter().map(|frame| frame.bytes.as_slice()).collect();
            let expected: Vec<&[u8]> = sent.iter().map(|(frame, _)| frame.as_slice()).collect();
            assert_eq!(bytes, expected, "{codec:?}");
            if codec != Codec::Opus {
                let keys: Vec<bool> = got.iter().map(|frame| frame.is_key_frame).collect();
                assert_eq!(
                    keys,
                    sent.iter().map(|(_, key)| *key).collect::<Vec<_>>(),
                    "{codec:?}"
                );
            }
            assert_eq!(assembler.skipped(), 0);
        }
    }

    #[test]
    fn a_gap_waits_for_its_repair_and_then_the_next_key_frame_goes_on() {
        let sent = frames(Codec::Vp8, &[3_000; 12]);
        let made = pieces(Codec::Vp8, &sent, 10);
        let mut assembler = Assembler::new(Codec::Vp8);
        let present = made.iter().filter(|piece| piece.sequence != 14);
        feed(&mut assembler, present.cloned());
        assert_eq!(all(&mut assembler, ms(0)).len(), 1);
        assert_eq!(assembler.deadline(), Some(ms(400)));
        assert!(!assembler.takes_key_frame_request(ms(399)));
        assert_eq!(all(&mut assembler, ms(399)).len(), 0);
        let mut repaired = Assembler::new(Codec::Vp8);
        let present = made.iter().filter(|piece| piece.sequence != 14);
        feed(&mut repaired, present.cloned());
        all(&mut repaired, ms(0));
        repaired.push(made[4].clone());
        assert_eq!(all(&mut repaired, ms(399)).len(), 11);
        let later = all(&mut assembler, ms(400));
        let stamps: Vec<u32> = later.iter().map(|frame| frame.timestamp / 3_000).collect();
        assert_eq!(stamps, (5..12).collect::<Vec<_>>());
        assert_eq!(assembler.skipped(), 1);
    }

    #[test]
    fn without_a_key_frame_nothing_comes_and_one_is_asked_for_once_a_second() {
        let mut sent = frames(Codec::Vp8, &[100; 4]);
        sent.remove(0);
        let mut assembler = Assembler::new(Codec::Vp8);
        feed(&mut assembler, pieces(Codec::Vp8, &sent, 0));
        assert_eq!(all(&mut assembler, ms(0)).len(), 0);
        let asked = [0, 500, 999, 1_000].map(|at| assembler.takes_key_frame_request(ms(at)));
        assert_eq!(asked, [true, false, false, true]);
        assert!(!Assembler::new(Codec::Opus).takes_key_frame_request(ms(0)));
    }

    #[test]
    fn padding_between_frames_is_passed_over() {
        let sent = frames(Codec::Vp8, &[100, 100]);
        let mut made = pieces(Codec::Vp8, &sent, 0);
        made[1].sequence = 2;
        let padding = Piece {
            sequence: 1,
            timestamp: 7,
            marker: false,
            payload: Vec::new(),
        };
        let mut assembler = Assembler::new(Codec::Vp8);
        feed(&mut assembler, made.into_iter().chain([padding]));
        assert_eq!(all(&mut assembler, ms(0)).len(), 2);
    }

    fn arbitrary_piece() -> impl Strategy<Value = Piece> {
        let payload = prop::collection::vec(any::<u8>(), 0..40);
        (0_u64..40, 0_u32..6, any::<bool>(), payload).prop_map(
            |(sequence, timestamp, marker, payload)| Piece {
                sequence,
                timestamp,
                marker,
                payload,
            },
        )
    }

    proptest! {
        #[test]
        fn whatever_comes_it_ends_and_stays_within_its_bounds(
            pieces in prop::collection::vec(arbitrary_piece(), 0..200),
            codec in prop::sample::select(CODECS.to_vec()),
        ) {
            let mut assembler = Assembler::new(codec);
            let mut now = 0;
            for piece in pieces {
                now += 50;
                assembler.push(piece);
                let count = all(&mut assembler, ms(now)).len();
                prop_assert!(count <= 80);
            }
        }

        #[test]
        fn any_frames_of_video_come_back(
            sizes in prop::collection::vec(1_usize..4_000, 1..12),
            order in any::<u64>(),
        ) {
            let sent = frames(Codec::Vp9, &sizes);
            let mut made = pieces(Codec::Vp9, &sent, 1_000);
            let rest = made.len();
            for at in 1..rest {
                // Neighbors change places.
                if order >> (at % 64) & 1 == 1 {
                    made.swap(at - 1, at);
                }
            }
            let mut assembler = Assembler::new(Codec::Vp9);
            feed(&mut assembler, made);
            let got: Vec<Vec<u8>> = all(&mut assembler, ms(0)).into_iter().map(|f| f.bytes).collect();
            let expected: Vec<Vec<u8>> = sent.into_iter().map(|(frame, _)| frame).collect();
            prop_assert_eq!(got, expected);
        }
    }
}
