//! A run: silent, warming, measuring, draining. Each phase is announced, so that the caller can
//! read the server's CPU clock at its bounds.

use crate::Error;
use crate::clock::unix_ns;
use crate::histogram::Percentiles;
use crate::job::Load;
use crate::publisher::{self, Publisher, PublisherResult};
use crate::subscriber::{self, Subscriber, SubscriberCounts};
use crate::system;
use crate::transport::Transport;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const RECEIVE_BUFFER_BYTES: i32 = 4 << 20;
/// After the last packet: time for packets in flight.
const DRAIN: Duration = Duration::from_millis(400);

/// The current phase, written by one thread and read by all.
#[derive(Default)]
pub struct Phases {
    sending: AtomicBool,
    window_begin: AtomicU64,
    window_end: AtomicU64,
    ended: AtomicBool,
}

impl Phases {
    /// Whether media is being sent.
    pub fn sending(&self) -> bool {
        self.sending.load(Ordering::Acquire)
    }

    /// Whether the measured window has started.
    pub fn measuring(&self) -> bool {
        self.window_begin.load(Ordering::Acquire) != 0
    }

    /// Whether the window has ended.
    pub fn measured(&self) -> bool {
        self.window_end.load(Ordering::Acquire) != 0
    }

    /// Whether the run has ended.
    pub fn ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Whether a packet sent at this time belongs to the window.
    pub fn in_window(&self, sent_unix_ns: u64) -> bool {
        let begin = self.window_begin.load(Ordering::Acquire);
        let end = self.window_end.load(Ordering::Acquire);
        begin != 0 && sent_unix_ns >= begin && (end == 0 || sent_unix_ns < end)
    }
}

/// The results of a run.
#[derive(Debug, Serialize)]
pub struct LoadResult {
    /// Actual length of the window.
    pub window_s: f64,
    /// Flows (streams times receivers) that carried at least one packet.
    pub flows: usize,
    /// Expected packets: for each flow, the packets that its publisher sent in the window.
    pub expected: u64,
    /// Expected packets that arrived.
    pub arrived: u64,
    /// Delay within the window: from the sender's clock to the kernel receive time.
    pub delay: Percentiles,
    /// Sums over the whole run.
    pub subscribers: SubscriberCounts,
    /// One entry per publisher.
    pub publishers: Vec<PublisherResult>,
}

fn seconds(seconds: f64) -> Result<Duration, Error> {
    let bounded = Some(seconds).filter(|seconds| (0.0..=86_400.0).contains(seconds));
    bounded
        .map(Duration::from_secs_f64)
        .ok_or_else(|| Error::Job("seconds: 0..86400".into()))
}

struct Plan {
    silent: Duration,
    warm: Duration,
    window: Duration,
}

fn conduct(phases: &Phases, plan: &Plan, announce: &mut impl FnMut(&str)) {
    announce("silent");
    std::thread::sleep(plan.silent);
    announce("warming");
    phases.sending.store(true, Ordering::Release);
    std::thread::sleep(plan.warm);
    announce("measuring");
    phases.window_begin.store(unix_ns(), Ordering::Release);
    std::thread::sleep(plan.window);
    phases.window_end.store(unix_ns(), Ordering::Release);
    announce("measured");
    std::thread::sleep(DRAIN);
    phases.ended.store(true, Ordering::Release);
}

/// Runs the job. `announce` is called as each phase starts.
pub fn load(job: Load, announce: &mut impl FnMut(&str)) -> Result<LoadResult, Error> {
    let plan = Plan {
        silent: seconds(job.silent_s)?,
        warm: seconds(job.warm_s)?,
        window: seconds(job.seconds)?,
    };
    let consent_ns = seconds(job.consent_ms / 1e3)?.as_nanos() as u64;
    let poll_ns = seconds(job.poll_ms / 1e3)?.as_nanos() as u64;
    let publishers = job
        .publishers
        .into_iter()
        .enumerate()
        .map(|(index, one)| Publisher::open(one, index, consent_ns))
        .collect::<Result<Vec<_>, _>>()?;
    let mut subscribers = Vec::with_capacity(job.subscribers.len());
    for (index, one) in job.subscribers.into_iter().enumerate() {
        let transport = Transport::open(one, index, unix_ns(), consent_ns)?;
        system::prepare_receiver(&transport.socket, RECEIVE_BUFFER_BYTES)?;
        subscribers.push(Subscriber::new(transport, index, unix_ns()));
    }
    let phases = Phases::default();
    let (sent, received) = std::thread::scope(|scope| {
        let sent = scope.spawn(|| publisher::drive(publishers, &phases, consent_ns));
        let received = scope.spawn(|| subscriber::drive(subscribers, &phases, poll_ns, consent_ns));
        conduct(&phases, &plan, announce);
        (sent.join(), received.join())
    });
    let ended = || Error::Job("a thread ended early".into());
    let (sent, received) = (sent.map_err(|_| ended())??, received.map_err(|_| ended())??);
    let window = |publisher: u16| {
        let found = sent.get(usize::from(publisher));
        found.map_or((0, 0), |one| (one.window_begin, one.window_end))
    };
    let arrived = received.arrived(window);
    let begin = phases.window_begin.load(Ordering::Acquire);
    let end = phases.window_end.load(Ordering::Acquire);
    Ok(LoadResult {
        window_s: (end - begin) as f64 / 1e9,
        flows: arrived.len(),
        expected: arrived
            .iter()
            .map(|(one, _)| window(*one).1 - window(*one).0)
            .sum(),
        arrived: arrived.iter().map(|(_, count)| count).sum(),
        delay: received.delay.percentiles(),
        subscribers: received.counts,
        publishers: sent,
    })
}
