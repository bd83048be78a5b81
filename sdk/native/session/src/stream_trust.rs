//! Whether one stream that is sent or received is encrypted (docs/e2ee.md section 11).

use std::time::Duration;

/// How long the server's guard has to be silent.
const GUARD_QUIET: Duration = Duration::from_secs(3);

/// Of one stream of an encrypted session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamState {
    /// No frame was encrypted or decrypted.
    Pending,
    /// A frame was, under a key of the session.
    Encrypted,
    /// Frames do not open, or the server's guard drops them.
    Failing,
}

/// Its state, and what it follows from.
#[derive(Debug, Default)]
pub struct StreamTrust {
    has_passed: bool,
    is_mismatched: bool,
    guarded: Option<Duration>,
}

impl StreamTrust {
    /// At a time, since the word of the guard counts for three seconds.
    pub fn state(&self, now: Duration) -> StreamState {
        let is_dropped = self.guarded.is_some_and(|last| now < last + GUARD_QUIET);
        match (self.is_mismatched || is_dropped, self.has_passed) {
            (true, _) => StreamState::Failing,
            (false, true) => StreamState::Encrypted,
            (false, false) => StreamState::Pending,
        }
    }

    /// A frame was encrypted, or decrypted.
    pub fn on_frame(&mut self) {
        self.has_passed = true;
    }

    /// Mismatch, or match: as the detection says.
    pub fn on_mismatch(&mut self, is_mismatched: bool) {
        self.is_mismatched = is_mismatched;
    }

    /// The server said that its guard drops what is sent.
    pub fn on_guard(&mut self, now: Duration) {
        self.guarded = Some(now);
    }

    /// When the state changes, if nothing else happens.
    pub fn deadline(&self) -> Option<Duration> {
        self.guarded.map(|last| last + GUARD_QUIET)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{StreamState, StreamTrust};

    #[test]
    fn a_stream_is_encrypted_when_a_frame_was_and_fails_while_it_does() {
        let ms = Duration::from_millis;
        let mut trust = StreamTrust::default();
        assert_eq!(trust.state(ms(0)), StreamState::Pending);
        trust.on_frame();
        assert_eq!(trust.state(ms(0)), StreamState::Encrypted);
        trust.on_mismatch(true);
        trust.on_frame();
        assert_eq!(trust.state(ms(0)), StreamState::Failing);
        trust.on_mismatch(false);
        trust.on_guard(ms(10));
        assert_eq!(trust.state(ms(3_009)), StreamState::Failing);
        assert_eq!(trust.deadline(), Some(ms(3_010)));
        assert_eq!(trust.state(ms(3_010)), StreamState::Encrypted);
    }
}
