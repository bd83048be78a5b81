//! When frames that do not open are a mismatch of secrets (docs/e2ee.md section 8).

use std::time::Duration;

use sealroute_rules::{
    CHANGE_GRACE, MISMATCH_FAILURES, MISMATCH_SPAN, REPORT_EVERY, SPAN_AFTER_CHANGE,
};

use crate::Refusal;

/// A track of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Track {
    /// Its audio.
    Audio,
    /// Its video.
    Video,
}

/// For the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// `encryptionSecretMismatch`.
    Mismatch,
    /// `encryptionSecretMatch`; for video a key frame is due.
    Match,
}

/// For the server: `e2eeState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// It stops forwarding video.
    Mismatch,
    /// It forwards again.
    Ok,
}

/// What follows from one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notices {
    /// For the application.
    pub event: Option<Event>,
    /// For the server.
    pub report: Option<Report>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Run {
    failures: u64,
    since: Duration,
    /// It came to a mismatch, and has not opened a frame since.
    has_failed: bool,
}

/// One subscription's.
#[derive(Debug, Default)]
pub struct Detection {
    audio: Run,
    video: Run,
    changed: Option<Duration>,
    is_mismatched: bool,
    /// The last report was a mismatch, of this time.
    reported: Option<Duration>,
    decrypted: u64,
    failed: u64,
}

impl Detection {
    /// Frames that opened, and that did not: the totals of a report.
    pub fn totals(&self) -> (u64, u64) {
        (self.decrypted, self.failed)
    }

    /// The application set another secret: all counts start again, and the server is asked for what
    /// it holds back.
    pub fn on_secret_set(&mut self, now: Duration) -> Notices {
        self.changed = Some(now);
        Notices {
            event: None,
            report: self.restart(),
        }
    }

    /// The publisher may have moved to a secret that is held: the counts start again, and the server
    /// is asked for what it holds back.
    pub fn on_probe(&mut self) -> Notices {
        Notices {
            event: None,
            report: self.restart(),
        }
    }

    /// A frame of a track was opened, or refused.
    pub fn on_frame(
        &mut self,
        track: Track,
        result: Result<(), Refusal>,
        now: Duration,
    ) -> Notices {
        match result {
            Ok(()) => self.on_opened(track),
            Err(Refusal::Replay) => Notices::default(),
            Err(_) => self.on_failed(track, now),
        }
    }

    fn on_opened(&mut self, track: Track) -> Notices {
        self.decrypted += 1;
        *self.run(track) = Run::default();
        let report = self.reported.is_some().then(|| self.restart()).flatten();
        let is_match = self.is_mismatched && !self.audio.has_failed && !self.video.has_failed;
        self.is_mismatched &= !is_match;
        Notices {
            event: is_match.then_some(Event::Match),
            report,
        }
    }

    fn on_failed(&mut self, track: Track, now: Duration) -> Notices {
        self.failed += 1;
        let span = self.span(now);
        let run = self.run(track);
        if run.failures == 0 {
            run.since = now;
        }
        run.failures += 1;
        if run.failures < MISMATCH_FAILURES || now.saturating_sub(run.since) < span {
            return Notices::default();
        }
        run.has_failed = true;
        let event = (!self.is_mismatched).then_some(Event::Mismatch);
        self.is_mismatched = true;
        if self.reported.is_some_and(|last| now < last + REPORT_EVERY) {
            return Notices {
                event,
                report: None,
            };
        }
        self.reported = Some(now);
        Notices {
            event,
            report: Some(Report::Mismatch),
        }
    }

    /// All counts start again; the server hears of it if it was told of a mismatch.
    fn restart(&mut self) -> Option<Report> {
        self.audio.failures = 0;
        self.video.failures = 0;
        self.reported.take().map(|_| Report::Ok)
    }

    fn span(&self, now: Duration) -> Duration {
        match self.changed {
            Some(changed) if now < changed + CHANGE_GRACE => SPAN_AFTER_CHANGE,
            _ => MISMATCH_SPAN,
        }
    }

    fn run(&mut self, track: Track) -> &mut Run {
        match track {
            Track::Audio => &mut self.audio,
            Track::Video => &mut self.video,
        }
    }
}
