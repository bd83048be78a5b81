//! `sealroute-guard PACKETS BURST [IDLE]`: one encrypted VP8 stream to 50 subscribers, in memory,
//! in a session with IDLE more published videos that nobody sends.
//!
//! `sealroute-guard worker PACKETS BURST`: the same through a worker, from protected datagrams to the
//! messages for the kernel. The system calls themselves are not in it.
//!
//! `sealroute-guard split PACKETS BURST`: the same with half of the subscribers on a second worker.
//!
//! The input and the clock are fixed, so an instruction counter gives the same figure on every run,
//! if it counts inside of `counted` alone: randomness for the peers' secrets takes as many as it
//! likes. The first packets are not in it, for which tables and caches grow. Prints the number of
//! packets forwarded there; exits with an error if any was dropped.

mod worker;

use sealroute_forward::{
    Codec, DownTrackParameters, EncodingParameters, Extension, ExtensionIds, ForwardEvent,
    ForwardSettings, MediaKind, Outbox, PayloadAccess, PublisherHandle, SessionRouter,
    SubscriberHandle, TransportHandle, UpTrackParameters,
};
use sealroute_loadgen::job::{MediaJob, WireCodec};
use sealroute_loadgen::media::Packetizer;
use sealroute_transport::{SrtpKeys, SrtpProfile, SrtpSender};
use std::io::Write;
use std::ops::Range;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const SUBSCRIBERS: u64 = 50;
const UPLINK: TransportHandle = TransportHandle(1);
const PUBLISHER: PublisherHandle = PublisherHandle(2);
const FIRST_SUBSCRIBER: u64 = 100;
const KID: [u8; 8] = 0x8011_2233_4455_6677_u64.to_be_bytes();
const KID_HEX: &str = "8011223344556677";
const SSRC: u32 = 0x1234;
const RATE_PPS: f64 = 600.0;
const SLOT_BYTES: usize = 1_500;
const SLOTS: usize = 128;
/// After so many packets, tables and caches have their size.
const WARM_UP: u64 = 200;

/// What an instruction counter is to count.
#[inline(never)]
fn counted(act: &mut dyn FnMut()) {
    act();
}

/// Send slots protected as in the worker, without a socket behind them.
struct SrtpOutbox {
    slots: Vec<[u8; SLOT_BYTES]>,
    senders: Vec<SrtpSender>,
    forwarded: u64,
    bytes: u64,
}

impl SrtpOutbox {
    fn new() -> Result<Self, String> {
        let profile = SrtpProfile::AeadAes128Gcm;
        let sender = |index: u64| {
            let key = vec![index as u8; profile.key_bytes()];
            let salt = vec![index as u8; profile.salt_bytes()];
            let keys = SrtpKeys {
                key: &key,
                salt: &salt,
            };
            SrtpSender::new(profile, keys).map_err(|error| error.to_string())
        };
        Ok(Self {
            slots: vec![[0; SLOT_BYTES]; SLOTS],
            senders: (0..SUBSCRIBERS).map(sender).collect::<Result<_, _>>()?,
            forwarded: 0,
            bytes: 0,
        })
    }
}

impl Outbox for SrtpOutbox {
    fn rtp(&mut self, transport: TransportHandle, header: &[u8], payload: &[u8]) {
        let slot = &mut self.slots[self.forwarded as usize % SLOTS];
        let protected = transport
            .0
            .checked_sub(FIRST_SUBSCRIBER)
            .and_then(|index| self.senders.get_mut(index as usize))
            .and_then(|sender| sender.protect_rtp(header, payload, slot).ok());
        if let Some(length) = protected {
            self.forwarded += 1;
            self.bytes += length as u64;
        }
    }

    fn rtcp(&mut self, _transport: TransportHandle, _compound: &[u8]) {}

    fn event(&mut self, _event: ForwardEvent) {}
}

fn up_track(index: u32) -> UpTrackParameters {
    UpTrackParameters {
        mid: index.to_string(),
        kind: MediaKind::Video,
        codec: Codec::Vp8,
        payload_type: 96,
        rtx_payload_type: Some(97),
        clock_rate_hz: 90_000,
        encodings: vec![EncodingParameters {
            ssrc: Some(SSRC + 2 * index),
            rtx_ssrc: Some(SSRC + 2 * index + 1),
            rid: None,
        }],
        extensions: ExtensionIds(vec![(Extension::Mid, 4)]),
        nack: true,
        declared_kids: vec![KID],
    }
}

fn down_track(index: u64) -> DownTrackParameters {
    DownTrackParameters {
        mid: "0".into(),
        up_track_mid: "0".into(),
        ssrc: 0x2000 + 2 * index as u32,
        rtx_ssrc: Some(0x2001 + 2 * index as u32),
        payload_type: 100,
        rtx_payload_type: Some(101),
        extensions: ExtensionIds(vec![(Extension::Mid, 3)]),
        nack: true,
    }
}

fn media(burst: u32) -> MediaJob {
    MediaJob {
        codec: WireCodec::Vp8,
        ssrc: SSRC,
        payload_type: 96,
        rate_pps: RATE_PPS,
        payload_bytes: 1_150,
        packets_per_frame: 10,
        burst,
        kid: Some(KID_HEX.into()),
        extensions: vec![(4, "30".into())],
    }
}

fn session(now: Instant, idle: u32) -> Result<SessionRouter, String> {
    let mut router = SessionRouter::new(PayloadAccess::Opaque, ForwardSettings::default());
    let up_tracks = (0..=idle).map(up_track).collect();
    let published = router.publish(now, PUBLISHER, UPLINK, up_tracks);
    published.map_err(|error| error.name().to_owned())?;
    for index in 0..SUBSCRIBERS {
        let (subscriber, transport) = (
            SubscriberHandle(FIRST_SUBSCRIBER + index),
            TransportHandle(FIRST_SUBSCRIBER + index),
        );
        let outcome = router.subscribe(now, subscriber, PUBLISHER, transport, &[down_track(index)]);
        outcome.map_err(|error| error.name().to_owned())?;
    }
    Ok(router)
}

fn run(packets: u64, burst: u32, idle: u32) -> Result<u64, String> {
    let mut now = Instant::now();
    let mut router = session(now, idle)?;
    let mut packetizer = Packetizer::new(&media(burst), 0).map_err(|error| error.to_string())?;
    let mut out = SrtpOutbox::new()?;
    let mut packet = [0; SLOT_BYTES];
    let mut forward = |numbers: Range<u64>, out: &mut SrtpOutbox| {
        for number in numbers {
            let (length, _) = packetizer.write(&mut packet, number);
            router.handle_rtp(now, UPLINK, &packet[..length]);
            if (number + 1).is_multiple_of(u64::from(burst)) {
                router.flush(now, out);
                while router.poll_timeout().is_some_and(|due| due <= now) {
                    router.handle_timeout(now, out);
                }
                now += Duration::from_secs_f64(f64::from(burst) / RATE_PPS);
            }
        }
        router.flush(now, out);
    };
    forward(0..WARM_UP, &mut out);
    let before = out.forwarded;
    counted(&mut || forward(WARM_UP..WARM_UP + packets, &mut out));
    std::hint::black_box(&out.slots);
    let (forwarded, expected) = (out.forwarded - before, packets * SUBSCRIBERS);
    if forwarded != expected || out.bytes == 0 {
        return Err(format!("forwarded {forwarded} of {expected} packets"));
    }
    Ok(forwarded)
}

/// A run: packets, packets of a burst, idle videos → packets that were forwarded.
type Run = fn(u64, u32, u32) -> Result<u64, String>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (run_of, words): (Run, _) = match words.split_first() {
        Some((first, rest)) if first == "worker" => (worker::run, rest),
        Some((first, rest)) if first == "split" => (worker::run_split, rest),
        _ => (run, &words[..]),
    };
    let numbers: Option<Vec<u64>> = words.iter().map(|word| word.parse().ok()).collect();
    let outcome = match numbers.as_deref() {
        Some([packets, burst @ 1..=64]) => run_of(*packets, *burst as u32, 0),
        Some([packets, burst @ 1..=64, idle @ 0..=1_000]) => {
            run_of(*packets, *burst as u32, *idle as u32)
        }
        _ => Err("usage: sealroute-guard [worker|split] PACKETS BURST [IDLE]".to_owned()),
    };
    let (text, code) = match outcome {
        Ok(forwarded) => (forwarded.to_string(), ExitCode::SUCCESS),
        Err(error) => (format!("guard: {error}"), ExitCode::FAILURE),
    };
    // If standard output is closed, the error cannot be reported.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
    code
}
