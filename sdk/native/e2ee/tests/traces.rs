//! The traces of the state machines that every SDK shares: `tests/vectors/e2ee-v2-traces.json`.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::time::Duration;

use sealroute_e2ee::{
    Detection, Event, Histories, HistoryKey, KeyId, KeyPart, Kind, Notices, Refusal, Report,
    SubscriptionKey, Switch, Track,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Traces {
    switch: Vec<SwitchTrace>,
    replay: Vec<ReplayTrace>,
    mismatch: Vec<MismatchTrace>,
}

fn traces() -> Traces {
    let text = include_str!("../../../../tests/vectors/e2ee-v2-traces.json");
    serde_json::from_str(text).unwrap()
}

#[derive(Deserialize)]
struct SwitchTrace {
    name: String,
    hint: u16,
    steps: Vec<SwitchStep>,
    end_ms: u64,
    switches: Vec<SwitchMade>,
}

#[derive(Deserialize)]
struct SwitchStep {
    at_ms: u64,
    #[serde(flatten)]
    what: SwitchWhat,
}

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "camelCase")]
enum SwitchWhat {
    Set { hint: u16, immediate: bool },
    Announced { connection: String, hint: u16 },
    Left { connection: String },
}

#[derive(Deserialize, Debug, PartialEq)]
struct SwitchMade {
    at_ms: u64,
    hint: u16,
}

/// The deadline passes at its own time, before the next step.
fn run_switch(trace: &SwitchTrace) -> Vec<SwitchMade> {
    let mut switch = Switch::new(KeyPart(trace.hint));
    let mut made = Vec::new();
    let mut look = |switch: &mut Switch, at_ms| {
        let moved = switch.poll(Duration::from_millis(at_ms));
        made.extend(moved.map(|hint| SwitchMade {
            at_ms,
            hint: hint.0,
        }));
    };
    let last = (trace.end_ms, None);
    let steps = trace
        .steps
        .iter()
        .map(|step| (step.at_ms, Some(&step.what)));
    for (at_ms, what) in steps.chain([last]) {
        if let Some(deadline) = switch
            .deadline()
            .filter(|end| end.as_millis() <= at_ms.into())
        {
            look(&mut switch, deadline.as_millis() as u64);
        }
        match what {
            Some(SwitchWhat::Set { hint, immediate }) => {
                switch.set(KeyPart(*hint), *immediate, Duration::from_millis(at_ms));
            }
            Some(SwitchWhat::Announced { connection, hint }) => {
                switch.on_announced(connection, KeyPart(*hint));
            }
            Some(SwitchWhat::Left { connection }) => switch.on_left(connection),
            None => {}
        }
        look(&mut switch, at_ms);
    }
    made
}

#[test]
fn senders_switch_as_in_the_traces() {
    let traces = traces().switch;
    assert!(traces.len() >= 18);
    for trace in traces {
        assert_eq!(run_switch(&trace), trace.switches, "{}", trace.name);
    }
}

#[derive(Deserialize)]
struct ReplayTrace {
    name: String,
    steps: Vec<ReplayStep>,
}

#[derive(Deserialize)]
struct ReplayStep {
    at_ms: u64,
    #[serde(flatten)]
    what: ReplayWhat,
}

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "camelCase")]
enum ReplayWhat {
    Subscribe {
        subscription: String,
        stream: String,
    },
    Frame(Frame),
    /// Nothing that the server says reaches the histories.
    Server {},
}

#[derive(Deserialize)]
struct Frame {
    subscription: String,
    kind: String,
    kid: String,
    ctr: u32,
    verifies: bool,
    expect: String,
}

impl Frame {
    fn kind(&self) -> Kind {
        match self.kind.as_str() {
            "audio" => Kind::Audio,
            "video" => Kind::Video,
            _ => Kind::Signal,
        }
    }
}

fn play(
    histories: &mut Histories,
    on: SubscriptionKey,
    frame: &Frame,
    now: Duration,
) -> &'static str {
    let kid = u64::from_str_radix(&frame.kid, 16).unwrap().to_be_bytes();
    let count = (KeyId::from_bytes(kid).unwrap(), frame.ctr);
    match histories.check(on, frame.kind(), count, now) {
        Err(refusal) => refusal.code(),
        Ok(()) if !frame.verifies => Refusal::Auth.code(),
        Ok(()) => {
            histories.open(on, frame.kind(), count, now);
            "ok"
        }
    }
}

fn has_signals(trace: &ReplayTrace) -> bool {
    trace
        .steps
        .iter()
        .any(|step| matches!(&step.what, ReplayWhat::Frame(f) if f.kind == "signal"))
}

#[test]
fn nothing_plays_twice_as_in_the_traces() {
    let traces = traces().replay;
    assert!(traces.len() >= 28);
    for trace in traces {
        let mut histories = Histories::default();
        let mut subscriptions = HashMap::new();
        let key = if has_signals(&trace) {
            HistoryKey::Signals
        } else {
            HistoryKey::Stream
        };
        for step in &trace.steps {
            match &step.what {
                ReplayWhat::Subscribe {
                    subscription,
                    stream,
                } => {
                    subscriptions.insert(subscription, histories.subscribe(key(stream.clone())));
                }
                ReplayWhat::Frame(frame) => {
                    let on = subscriptions[&frame.subscription];
                    let now = Duration::from_millis(step.at_ms);
                    let result = play(&mut histories, on, frame, now);
                    assert_eq!(result, frame.expect, "{} at {} ms", trace.name, step.at_ms);
                }
                ReplayWhat::Server {} => {}
            }
        }
    }
}

#[derive(Deserialize)]
struct MismatchTrace {
    name: String,
    steps: Vec<MismatchStep>,
    events: Vec<EventRow>,
    reports: Vec<ReportRow>,
}

#[derive(Deserialize)]
struct MismatchStep {
    at_ms: u64,
    /// None: the application set another secret.
    track: Option<String>,
    result: Option<String>,
}

#[derive(Deserialize, Debug, PartialEq)]
struct EventRow {
    at_ms: u64,
    event: String,
}

#[derive(Deserialize, Debug, PartialEq)]
struct ReportRow {
    at_ms: u64,
    state: String,
}

fn result(word: &str) -> Result<(), Refusal> {
    use Refusal::{Auth, Format, Replay, Secret, Sender};
    let refusals = [Auth, Format, Replay, Secret, Sender];
    match refusals.into_iter().find(|refusal| refusal.code() == word) {
        Some(refusal) => Err(refusal),
        None => Ok(()),
    }
}

fn step(detection: &mut Detection, step: &MismatchStep) -> Notices {
    let now = Duration::from_millis(step.at_ms);
    match (&step.track, &step.result) {
        (Some(track), Some(word)) => {
            let track = if track == "audio" {
                Track::Audio
            } else {
                Track::Video
            };
            detection.on_frame(track, result(word), now)
        }
        _ => detection.on_secret_set(now),
    }
}

#[test]
fn mismatch_and_match_are_told_as_in_the_traces() {
    let traces = traces().mismatch;
    assert!(traces.len() >= 21);
    for trace in traces {
        let mut detection = Detection::default();
        let (mut events, mut reports) = (Vec::new(), Vec::new());
        for one in &trace.steps {
            let notices = step(&mut detection, one);
            let at_ms = one.at_ms;
            events.extend(notices.event.map(|event| {
                let event = match event {
                    Event::Mismatch => "mismatch",
                    Event::Match => "match",
                };
                EventRow {
                    at_ms,
                    event: event.into(),
                }
            }));
            reports.extend(notices.report.map(|report| {
                let state = match report {
                    Report::Mismatch => "mismatch",
                    Report::Ok => "ok",
                };
                ReportRow {
                    at_ms,
                    state: state.into(),
                }
            }));
        }
        assert_eq!(events, trace.events, "{}", trace.name);
        assert_eq!(reports, trace.reports, "{}", trace.name);
    }
}
