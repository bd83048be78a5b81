//! Speaker detection from the audio levels in publishers' packets (RFC 6464).
//!
//! The loudness of a voice follows its levels within about 100 ms and halves in 200 ms without
//! packets, so gaps from DTX count as silence and not as loss. The dominant speaker changes only to
//! a voice that is clearly louder for a while, so a cough does not count.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::parameters::PublisherHandle;

/// RFC 6464's lowest level: silence.
const SILENCE: u8 = 127;
/// A voice is louder than -55 dBov; background noise is not.
const SPEAKING: f32 = 72.0;
/// Smoothing factor of a 20 ms packet.
const FOLLOW: f32 = 0.2;
const HALF_LIFE: Duration = Duration::from_millis(200);
/// The duration of a packet: a gap starts after it.
const PACKET_TIME: Duration = Duration::from_millis(60);
/// How much louder than the dominant speaker a voice must be, in dB.
const MARGIN: f32 = 6.0;
/// And for how long.
const INSISTENCE: Duration = Duration::from_millis(400);
/// After silence, a word is enough.
const FIRST_WORD: Duration = Duration::from_millis(150);
/// How often all voices are ranked. Shorter than a syllable.
const RANKING: Duration = Duration::from_millis(60);
/// A voice that rises above the ranked ones is ranked this soon.
const RISE: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug)]
struct Voice {
    loudness: f32,
    heard: Instant,
    /// Since when it qualifies as the next dominant speaker.
    challenges: Option<Instant>,
    /// It was among the loudest at the last ranking.
    among_loudest: bool,
}

impl Voice {
    fn loudness_at(&self, now: Instant) -> f32 {
        let gap = now.saturating_duration_since(self.heard);
        let quiet = gap.saturating_sub(PACKET_TIME);
        self.loudness * (-quiet.as_secs_f32() / HALF_LIFE.as_secs_f32()).exp2()
    }

    /// A voice among the loudest keeps its place until another is clearly louder, so words are not
    /// cut.
    fn rank_at(&self, now: Instant) -> f32 {
        let margin = if self.among_loudest { MARGIN } else { 0.0 };
        self.loudness_at(now) + margin
    }
}

/// The voices of one session.
#[derive(Debug, Default)]
pub struct Speakers {
    voices: HashMap<PublisherHandle, Voice>,
    dominant: Option<PublisherHandle>,
    ranked: Option<Instant>,
    /// The rank of the last of the loudest.
    bar: f32,
    /// A reused buffer.
    ranking: Vec<(f32, PublisherHandle)>,
}

impl Speakers {
    /// Takes the level of one packet: 0 is the loudest, 127 silence. Returns the dominant speaker
    /// if it changed.
    pub fn record(
        &mut self,
        now: Instant,
        publisher: PublisherHandle,
        level: u8,
    ) -> Option<PublisherHandle> {
        let measured = f32::from(SILENCE - level.min(SILENCE));
        let voice = self.voices.entry(publisher).or_insert(Voice {
            loudness: 0.0,
            heard: now,
            challenges: None,
            among_loudest: false,
        });
        let before = voice.loudness_at(now);
        voice.loudness = before + (measured - before) * FOLLOW;
        voice.heard = now;
        self.challenge(now, publisher)
    }

    /// Removes an ended publisher.
    pub fn remove(&mut self, publisher: PublisherHandle) {
        self.voices.remove(&publisher);
        if self.dominant == Some(publisher) {
            self.dominant = None;
        }
    }

    /// The current or last dominant speaker.
    pub fn dominant(&self) -> Option<PublisherHandle> {
        self.dominant
    }

    /// The number of publishers that send audio levels.
    pub fn voices(&self) -> usize {
        self.voices.len()
    }

    /// Whether the publisher sends audio levels.
    pub fn knows(&self, publisher: PublisherHandle) -> bool {
        self.voices.contains_key(&publisher)
    }

    /// Whether it is one of the `count` loudest voices. The dominant speaker always is. Voices are
    /// ranked only now and then, so a new one may be found a few packets late.
    pub fn is_among_loudest(
        &mut self,
        now: Instant,
        publisher: PublisherHandle,
        count: usize,
    ) -> bool {
        let Some(voice) = self.voices.get(&publisher) else {
            return false;
        };
        let age = self.ranked.map(|at| now.saturating_duration_since(at));
        let rises = !voice.among_loudest && voice.rank_at(now) > self.bar;
        if age.is_none_or(|age| age >= RANKING || (rises && age >= RISE)) {
            self.rank(now, count);
        }
        let voice = self.voices.get(&publisher);
        self.dominant == Some(publisher) || voice.is_some_and(|voice| voice.among_loudest)
    }

    fn rank(&mut self, now: Instant, count: usize) {
        self.ranked = Some(now);
        let mut ranking = std::mem::take(&mut self.ranking);
        ranking.clear();
        for (&publisher, voice) in &mut self.voices {
            let first = self.dominant == Some(publisher);
            let rank = if first {
                f32::INFINITY
            } else {
                voice.rank_at(now)
            };
            ranking.push((rank, publisher));
            voice.among_loudest = false;
        }
        let louder_first = |one: &(f32, _), other: &(f32, _)| other.0.total_cmp(&one.0);
        self.bar = f32::NEG_INFINITY;
        if count > 0 && count < ranking.len() {
            let (_, last, _) = ranking.select_nth_unstable_by(count - 1, louder_first);
            self.bar = last.0;
        }
        for (_, publisher) in ranking.iter().take(count) {
            if let Some(voice) = self.voices.get_mut(publisher) {
                voice.among_loudest = true;
            }
        }
        self.ranking = ranking;
    }

    fn challenge(&mut self, now: Instant, publisher: PublisherHandle) -> Option<PublisherHandle> {
        let present = self
            .dominant
            .and_then(|dominant| self.voices.get(&dominant));
        let present = present.map_or(0.0, |voice| voice.loudness_at(now));
        if self.dominant == Some(publisher) {
            return None;
        }
        let (needed, insistence) = if present < SPEAKING {
            (SPEAKING, FIRST_WORD)
        } else {
            (present + MARGIN, INSISTENCE)
        };
        let voice = self.voices.get_mut(&publisher)?;
        if voice.loudness < needed {
            voice.challenges = None;
            return None;
        }
        let since = *voice.challenges.get_or_insert(now);
        if now.saturating_duration_since(since) < insistence {
            return None;
        }
        voice.challenges = None;
        self.dominant = Some(publisher);
        self.dominant
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: PublisherHandle = PublisherHandle(1);
    const BEN: PublisherHandle = PublisherHandle(2);
    const CAT: PublisherHandle = PublisherHandle(3);
    const LOUD: u8 = 20;
    const VOICE: u8 = 30;
    const ROOM: u8 = 80;

    struct Talk {
        speakers: Speakers,
        now: Instant,
        changes: Vec<PublisherHandle>,
    }

    impl Talk {
        fn new() -> Self {
            Self {
                speakers: Speakers::default(),
                now: Instant::now(),
                changes: Vec::new(),
            }
        }

        /// Whether each is among the `count` loudest, right after a ranking.
        fn among(&mut self, count: usize) -> [bool; 3] {
            self.speakers.rank(self.now, count);
            let Self { speakers, now, .. } = self;
            [ANN, BEN, CAT].map(|who| speakers.is_among_loudest(*now, who, count))
        }

        /// Packets of 20 ms from each, with their levels.
        fn go_on(&mut self, ms: u64, levels: &[(PublisherHandle, u8)]) {
            for _ in 0..ms / 20 {
                self.now += Duration::from_millis(20);
                for (publisher, level) in levels {
                    let change = self.speakers.record(self.now, *publisher, *level);
                    self.changes.extend(change);
                }
            }
        }
    }

    #[test]
    fn the_first_voice_is_the_speaker_and_stays_so_in_silence() {
        let mut talk = Talk::new();
        talk.go_on(2_000, &[(ANN, ROOM), (BEN, ROOM)]);
        assert_eq!(talk.speakers.dominant(), None);
        talk.go_on(600, &[(ANN, ROOM), (BEN, VOICE)]);
        talk.go_on(5_000, &[(ANN, ROOM), (BEN, 127)]);
        assert_eq!(talk.changes, [BEN]);
        assert_eq!(talk.speakers.dominant(), Some(BEN));
    }

    #[test]
    fn a_cough_interrupts_nobody() {
        let mut talk = Talk::new();
        talk.go_on(2_000, &[(ANN, VOICE), (BEN, ROOM)]);
        for _ in 0..10 {
            talk.go_on(200, &[(ANN, VOICE), (BEN, 0)]);
            talk.go_on(600, &[(ANN, VOICE), (BEN, ROOM)]);
        }
        assert_eq!(talk.changes, [ANN]);
    }

    #[test]
    fn equally_loud_voices_do_not_take_turns_but_a_louder_one_prevails() {
        let mut talk = Talk::new();
        talk.go_on(1_000, &[(ANN, VOICE)]);
        talk.go_on(10_000, &[(ANN, VOICE), (BEN, VOICE - 3)]);
        assert_eq!(talk.changes, [ANN]);
        talk.go_on(1_500, &[(ANN, VOICE), (BEN, LOUD)]);
        assert_eq!(talk.changes, [ANN, BEN]);
    }

    #[test]
    fn an_answering_voice_is_the_speaker_within_half_a_second() {
        let mut talk = Talk::new();
        talk.go_on(3_000, &[(ANN, VOICE), (BEN, ROOM)]);
        talk.go_on(500, &[(ANN, 127), (BEN, VOICE)]);
        assert_eq!(talk.changes, [ANN, BEN]);
    }

    #[test]
    fn packets_left_out_in_silence_are_silence() {
        let mut talk = Talk::new();
        talk.go_on(3_000, &[(ANN, VOICE)]);
        // Ann's client sends nothing during silence.
        talk.go_on(2_000, &[(BEN, ROOM)]);
        talk.go_on(500, &[(BEN, VOICE)]);
        assert_eq!(talk.changes, [ANN, BEN]);
    }

    #[test]
    fn an_ended_speaker_gives_way_at_once() {
        let mut talk = Talk::new();
        talk.go_on(1_000, &[(ANN, LOUD), (BEN, VOICE)]);
        talk.speakers.remove(ANN);
        assert_eq!(talk.speakers.dominant(), None);
        talk.go_on(400, &[(BEN, VOICE)]);
        assert_eq!(talk.speakers.dominant(), Some(BEN));
    }

    #[test]
    fn the_loudest_are_as_many_as_asked_for_and_the_speaker_is_one_of_them() {
        let mut talk = Talk::new();
        talk.go_on(2_000, &[(ANN, VOICE), (BEN, ROOM), (CAT, ROOM - 20)]);
        talk.go_on(100, &[(ANN, 127), (BEN, ROOM), (CAT, VOICE)]);
        assert_eq!(talk.among(1), [true, false, false]);
        assert_eq!(talk.among(2), [true, false, true]);
        assert_eq!(talk.among(3), [true, true, true]);
        let stranger = PublisherHandle(9);
        let Talk { speakers, now, .. } = &mut talk;
        assert!(!speakers.is_among_loudest(*now, stranger, 3));
    }

    #[test]
    fn voices_of_one_loudness_do_not_push_each_other_out() {
        let mut talk = Talk::new();
        talk.go_on(1_000, &[(ANN, VOICE), (BEN, VOICE), (CAT, ROOM)]);
        assert_eq!(talk.among(2), [true, true, false]);
        for _ in 0..50 {
            talk.go_on(40, &[(ANN, VOICE), (BEN, VOICE + 2), (CAT, VOICE - 1)]);
            assert_eq!(talk.among(2), [true, true, false]);
        }
        talk.go_on(300, &[(ANN, VOICE), (BEN, ROOM), (CAT, VOICE)]);
        assert_eq!(talk.among(2), [true, false, true]);
    }

    #[test]
    fn a_new_voice_is_among_the_loudest_within_a_syllable() {
        let mut talk = Talk::new();
        let room: Vec<_> = (10..40).map(|who| (PublisherHandle(who), ROOM)).collect();
        talk.go_on(2_000, &room);
        talk.among(3);
        let waited = (1..10).find(|_| {
            talk.go_on(20, &[(ANN, VOICE)]);
            talk.among(3)[0]
        });
        assert!(waited.is_some_and(|packets| packets <= 4), "{waited:?}");
    }

    #[test]
    fn a_voice_that_sends_next_to_nothing_in_silence_stays_known_and_is_heard_again() {
        let mut talk = Talk::new();
        talk.go_on(1_000, &[(ANN, VOICE), (BEN, ROOM), (CAT, ROOM)]);
        for _ in 0..150 {
            // A packet of comfort noise every 400 ms.
            talk.now += Duration::from_millis(380);
            talk.go_on(20, &[(ANN, 127), (BEN, ROOM), (CAT, ROOM)]);
        }
        assert_eq!(talk.speakers.voices(), 3);
        assert!(talk.speakers.knows(ANN));
        talk.go_on(100, &[(ANN, VOICE), (BEN, ROOM), (CAT, ROOM)]);
        assert!(talk.among(1)[0]);
    }
}
