//! Repair: what is known of past repetitions, and the budget for the next ones.
//!
//! Three kinds of repetition share one budget of bytes: retransmissions on request, the second copy
//! of a retransmission, and audio that is sent twice without a request. What is sent is decided in
//! `resending.rs`; this is the memory that it decides by.

use std::time::{Duration, Instant};

use crate::key_frame_requests::RequestBudget;

/// Round trips take longer than this wherever loss is common.
pub(super) const RESEND_INTERVAL: Duration = Duration::from_millis(40);
/// Retransmitted bytes as a share of sent bytes: a flood of NACKs must not become a flood of media.
/// With the burst, the total stays below a fifth within a minute, which repairs 13 % loss in each
/// direction.
const RESEND_SHARE: f64 = 0.18;
/// A gap of a third of a second in a stream of 1 Mbit/s.
const RESEND_BURST_BYTES: f64 = 48_000.0;
/// More audio packets than are lost within a round trip.
const RESENT_REMEMBERED: usize = 16;
const SECOND_REPEATS: usize = 8;
/// The cause of a loss often takes the following packets too.
const SECOND_REPEAT_AFTER: Duration = Duration::from_millis(10);

/// The budget and the memory of repetitions of one down track.
pub(crate) struct Repair {
    budget_bytes: f64,
    /// The subscriber's budget of key frame requests.
    key_frames: RequestBudget,
    /// The first sequence number that this down track assigned. Earlier ones belong to another
    /// stream.
    first: Option<u64>,
    /// Packets retransmitted under their own sequence number.
    resent_at: [Option<(u16, Instant)>; RESENT_REMEMBERED],
    second_repeats: [Option<u16>; SECOND_REPEATS],
    /// The audio packet that is sent again together with the next one.
    twice: Option<u16>,
    /// Packets to send a second time over the retransmission stream, each with its due time.
    second_retransmissions: [Option<(u16, Instant)>; SECOND_REPEATS],
    /// The earliest of those due times.
    repeats_from: Option<Instant>,
    resent: u64,
    /// Unrequested repetitions that are not counted yet.
    unasked: u64,
}

impl Repair {
    pub(super) fn new() -> Self {
        Self {
            budget_bytes: RESEND_BURST_BYTES,
            key_frames: RequestBudget::default(),
            first: None,
            resent_at: [None; RESENT_REMEMBERED],
            second_repeats: [None; SECOND_REPEATS],
            twice: None,
            second_retransmissions: [None; SECOND_REPEATS],
            repeats_from: None,
            resent: 0,
            unasked: 0,
        }
    }

    /// Each packet of media earns a share of its bytes.
    #[inline]
    pub(super) fn earn(&mut self, bytes: usize) {
        let earned = bytes as f64 * RESEND_SHARE;
        self.budget_bytes = (self.budget_bytes + earned).min(RESEND_BURST_BYTES);
    }

    /// Whether a packet of this length can be retransmitted on request.
    pub(super) fn affords(&self, bytes: usize) -> bool {
        self.budget_bytes >= bytes as f64
    }

    /// As `affords`, for a packet whose length is known only after it was sent.
    pub(super) fn affords_any(&self) -> bool {
        self.budget_bytes > 0.0
    }

    /// Whether it can be repeated without a request: half of the budget remains for requested ones.
    pub(super) fn affords_unasked(&self, bytes: usize) -> bool {
        self.budget_bytes - bytes as f64 >= RESEND_BURST_BYTES / 2.0
    }

    /// Counts a retransmission on request.
    pub(super) fn spend(&mut self, bytes: usize) {
        self.budget_bytes -= bytes as f64;
        self.resent += 1;
    }

    /// Counts a repetition that nobody requested.
    pub(super) fn spend_unasked(&mut self, bytes: usize) {
        self.spend(bytes);
        self.unasked += 1;
    }

    /// As `spend_unasked`, for audio, which costs too little to be limited.
    pub(super) fn count_unasked(&mut self) {
        self.spend_unasked(0);
    }

    /// A packet was assigned this sequence number.
    pub(super) fn note_assigned(&mut self, sequence: u64) {
        self.first.get_or_insert(sequence);
    }

    /// Whether the sequence number was assigned by this down track.
    pub(super) fn is_own(&self, sequence: u64) -> bool {
        self.first.is_some_and(|first| sequence >= first)
    }

    /// Whether the packet was retransmitted under its own sequence number within the interval.
    pub(super) fn was_resent(&self, now: Instant, sequence: u16, interval: Duration) -> bool {
        let place = self.resent_at[usize::from(sequence) % RESENT_REMEMBERED];
        place.is_some_and(|(number, at)| number == sequence && now < at + interval)
    }

    pub(super) fn note_resent(&mut self, now: Instant, sequence: u16) {
        self.resent_at[usize::from(sequence) % RESENT_REMEMBERED] = Some((sequence, now));
    }

    /// Repeats a retransmitted audio packet together with the next packet.
    pub(super) fn repeat_with_next(&mut self, sequence: u16) {
        self.second_repeats[usize::from(sequence) % SECOND_REPEATS] = Some(sequence);
    }

    #[inline]
    pub(super) fn take_repeats(&mut self) -> impl Iterator<Item = u16> + use<> {
        std::mem::take(&mut self.second_repeats)
            .into_iter()
            .flatten()
    }

    /// Sends an audio packet again together with the next one, or not. Returns the one before.
    pub(super) fn send_twice(&mut self, sequence: Option<u16>) -> Option<u16> {
        std::mem::replace(&mut self.twice, sequence)
    }

    /// Repeats a retransmission after a while.
    pub(super) fn repeat_later(&mut self, now: Instant, sequence: u16) {
        let due = now + SECOND_REPEAT_AFTER;
        let place = usize::from(sequence) % SECOND_REPEATS;
        self.second_retransmissions[place] = Some((sequence, due));
        self.repeats_from.get_or_insert(due);
    }

    /// Whether retransmissions are due for their repetition.
    #[inline]
    pub(super) fn has_due_repeats(&self, now: Instant) -> bool {
        self.repeats_from.is_some_and(|at| at <= now)
    }

    /// One retransmission whose repetition is due.
    pub(super) fn take_due_repeat(&mut self, now: Instant) -> Option<u16> {
        let mut places = self.second_retransmissions.iter_mut();
        let due = places.find_map(|place| place.take_if(|(_, at)| *at <= now));
        if due.is_none() {
            let waiting = self.second_retransmissions.iter().flatten();
            self.repeats_from = waiting.map(|(_, at)| *at).min();
        }
        due.map(|(sequence, _)| sequence)
    }

    /// Whether the subscriber may have a key frame requested now.
    pub(crate) fn may_request_key_frame(&mut self, now: Instant) -> bool {
        self.key_frames.take(now)
    }

    /// Packets sent again since the start.
    pub(crate) fn resent(&self) -> u64 {
        self.resent
    }

    #[inline]
    pub(super) fn take_unasked(&mut self) -> u64 {
        std::mem::take(&mut self.unasked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_a_share_of_what_is_sent_with_a_bounded_burst() {
        let mut repair = Repair::new();
        assert!(repair.affords(48_000) && !repair.affords(48_001));
        repair.spend(48_000);
        assert!(!repair.affords_any());
        repair.earn(1_000);
        assert!(repair.affords(180) && !repair.affords(181));
        repair.earn(10_000_000);
        assert!(!repair.affords(48_001), "the burst is bounded");
    }

    #[test]
    fn repetitions_without_a_request_leave_half_of_the_budget() {
        let mut repair = Repair::new();
        assert!(repair.affords_unasked(24_000) && !repair.affords_unasked(24_001));
        repair.spend_unasked(24_000);
        assert!(!repair.affords_unasked(1) && repair.affords(24_000));
        assert_eq!((repair.resent(), repair.take_unasked()), (1, 1));
        assert_eq!((repair.resent(), repair.take_unasked()), (1, 0));
    }

    #[test]
    fn a_packet_is_resent_once_within_an_interval() {
        let (mut repair, now) = (Repair::new(), Instant::now());
        repair.note_resent(now, 7);
        let soon = now + RESEND_INTERVAL / 2;
        assert!(repair.was_resent(soon, 7, RESEND_INTERVAL));
        assert!(!repair.was_resent(soon, 8, RESEND_INTERVAL));
        assert!(!repair.was_resent(now + RESEND_INTERVAL, 7, RESEND_INTERVAL));
    }

    #[test]
    fn a_second_repetition_comes_when_it_is_due_and_once() {
        let (mut repair, now) = (Repair::new(), Instant::now());
        repair.repeat_later(now, 1);
        repair.repeat_later(now + Duration::from_millis(5), 2);
        assert!(!repair.has_due_repeats(now));
        let first = now + SECOND_REPEAT_AFTER;
        assert!(repair.has_due_repeats(first));
        assert_eq!(repair.take_due_repeat(first), Some(1));
        assert_eq!(repair.take_due_repeat(first), None);
        assert!(!repair.has_due_repeats(first));
        let second = first + Duration::from_millis(5);
        assert!(repair.has_due_repeats(second));
        assert_eq!(repair.take_due_repeat(second), Some(2));
        assert_eq!(repair.take_due_repeat(second), None);
        assert!(!repair.has_due_repeats(second + Duration::from_secs(9)));
    }

    #[test]
    fn sequence_numbers_before_its_first_belong_to_another_stream() {
        let mut repair = Repair::new();
        assert!(!repair.is_own(5));
        repair.note_assigned(5);
        repair.note_assigned(6);
        assert!(repair.is_own(5) && repair.is_own(6) && !repair.is_own(4));
    }
}
