//! From the RTP packets of one track to its frames.

use std::collections::VecDeque;

use sealroute_rtp::RtpPacket;

use crate::codec::{Codec, Kind};
use crate::references::References;
use crate::reorder::{Arrival, Next, Packet, Reorder};
use crate::whole::{Depacketizer, Whole, depacketizer};

/// Far above any frame of a real-time encoder; bounds the memory of one that never ends.
pub const MAX_FRAME_BYTES: usize = 4 * 1024 * 1024;
/// A key frame takes a round trip and the encoder's time; until then, a request more is for nothing.
const REQUEST_INTERVAL_US: u64 = 1_000_000;

/// Ids of the header extensions that are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtensionIds {
    /// RFC 6464.
    pub audio_level: Option<u8>,
    /// urn:3gpp:video-orientation
    pub video_orientation: Option<u8>,
}

/// A whole frame whose references were kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// On the track's RTP clock.
    pub timestamp: u32,
    /// When its first packet arrived.
    pub arrival_us: u64,
    /// It depends on nothing.
    pub key: bool,
    /// Opus and VP8: as on the wire. VP9: with an index if it has several layers. H.264: Annex B. AV1:
    /// OBUs with sizes, without a delimiter.
    pub data: Vec<u8>,
    /// How many packets were lost, or were of frames that were dropped, since the frame before.
    pub lost_before: u32,
    /// Width and height of the latest key frame; 0 where it does not say them.
    pub size: (u16, u16),
    /// How long it lasts, where the codec says it.
    pub duration_us: Option<u32>,
    /// By how many degrees a viewer turns it clockwise.
    pub orientation: u16,
    /// In −dBov: 0 is the loudest, 127 silence.
    pub audio_level: Option<u8>,
}

/// What an assembler did not make frames of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    /// Packets that came twice, or after their place was given up.
    pub late_packets: u64,
    /// Packets that did not come.
    pub lost_packets: u64,
    /// Packets that found the buffer full.
    pub refused_packets: u64,
    /// Frames with a missing or malformed packet.
    pub incomplete_frames: u64,
    /// Whole frames that depend on one that was dropped.
    pub undecodable_frames: u64,
}

/// A frame that is being assembled.
#[derive(Debug)]
struct Open {
    timestamp: u32,
    arrival_us: u64,
    packets: u32,
    bytes: usize,
    /// Every packet so far is there and fits.
    sane: bool,
    /// The packet before its first is missing.
    after_gap: bool,
    audio_level: Option<u8>,
}

/// Assembles one track. Times are of one monotonic clock, in µs.
#[derive(Debug)]
pub struct Assembler {
    codec: Codec,
    extensions: ExtensionIds,
    reorder: Reorder,
    depacketizer: Box<dyn Depacketizer>,
    references: References,
    open: Option<Open>,
    after_gap: bool,
    /// Lost since the last whole frame: what the references must do without.
    missing: u32,
    /// Lost or dropped since the last frame given out.
    lost: u32,
    size: (u16, u16),
    orientation: u16,
    ready: VecDeque<Frame>,
    requested_us: Option<u64>,
    ignored: Ignored,
}

impl Assembler {
    /// `hold_us`: how long to wait for a repair.
    pub fn new(codec: Codec, hold_us: u64, extensions: ExtensionIds) -> Self {
        Self {
            codec,
            extensions,
            reorder: Reorder::new(hold_us),
            depacketizer: depacketizer(codec),
            references: References::default(),
            open: None,
            after_gap: false,
            missing: 0,
            lost: 0,
            size: (0, 0),
            orientation: 0,
            ready: VecDeque::new(),
            requested_us: None,
            ignored: Ignored::default(),
        }
    }

    /// Takes a packet that arrived at `arrival_us`.
    pub fn handle_packet(&mut self, now_us: u64, arrival_us: u64, packet: &RtpPacket<'_>) {
        let extension = |id: Option<u8>| packet.extensions().get(id?)?.first().copied();
        let held = Packet {
            timestamp: packet.timestamp(),
            marker: packet.marker(),
            arrival_us,
            audio_level: extension(self.extensions.audio_level).map(|byte| byte & 0x7F),
            orientation: extension(self.extensions.video_orientation)
                .map(|byte| u16::from(byte & 0x03) * 90),
            payload: packet.payload().into(),
        };
        if self.reorder.is_full() {
            self.ignored.refused_packets += 1;
            return;
        }
        if self.reorder.insert(now_us, packet.sequence(), held) == Arrival::Late {
            self.ignored.late_packets += 1;
        }
    }

    /// The tap dropped packets after the last one.
    pub fn handle_lost(&mut self, packets: u32) {
        self.reorder.insert_dropped(packets);
    }

    /// Nothing follows: what is held need not wait.
    pub fn finish(&mut self) {
        self.reorder.flush();
    }

    /// The next frame that is ready.
    pub fn poll(&mut self, now_us: u64) -> Option<Frame> {
        while self.ready.is_empty() {
            match self.reorder.next(now_us)? {
                Next::Packet(packet) => self.take(&packet),
                Next::Gap(packets) => self.take_gap(packets),
            }
        }
        self.ready.pop_front()
    }

    /// When `poll` has something new without another packet.
    pub fn poll_timeout(&self) -> Option<u64> {
        self.reorder.poll_timeout()
    }

    /// Whether to request a key frame now; at most once a second.
    pub fn wants_key_frame(&mut self, now_us: u64) -> bool {
        let wanted = self.codec.kind() == Kind::Video && self.references.broken();
        let due = self
            .requested_us
            .is_none_or(|at| now_us.saturating_sub(at) >= REQUEST_INTERVAL_US);
        if wanted && due {
            self.requested_us = Some(now_us);
        }
        wanted && due
    }

    /// Gives up what is not whole, at the end: how many packets were lost since the last frame.
    pub fn take_lost(&mut self) -> u32 {
        if let Some(open) = &mut self.open {
            open.sane = false;
        }
        self.close();
        let dropped = self.reorder.take_all_dropped();
        if dropped > 0 {
            self.take_gap(dropped);
        }
        std::mem::take(&mut self.lost)
    }

    /// What was not made into frames so far.
    pub fn ignored(&self) -> Ignored {
        self.ignored
    }

    fn take_gap(&mut self, packets: u32) {
        self.ignored.lost_packets += u64::from(packets);
        self.lost = self.lost.saturating_add(packets);
        self.missing = self.missing.saturating_add(packets);
        self.after_gap = true;
        if let Some(open) = &mut self.open {
            open.sane = false;
        }
    }

    fn take(&mut self, packet: &Packet) {
        if packet.payload.is_empty() {
            // Padding takes a number and belongs to no frame.
            return;
        }
        if self
            .open
            .as_ref()
            .is_some_and(|open| open.timestamp != packet.timestamp)
        {
            self.close();
        }
        let after_gap = std::mem::take(&mut self.after_gap);
        let open = self.open.get_or_insert(Open {
            timestamp: packet.timestamp,
            arrival_us: packet.arrival_us,
            packets: 0,
            bytes: 0,
            sane: true,
            after_gap,
            audio_level: packet.audio_level,
        });
        open.packets += 1;
        open.bytes += packet.payload.len();
        open.arrival_us = open.arrival_us.min(packet.arrival_us);
        open.sane = open.sane
            && open.bytes <= MAX_FRAME_BYTES
            && self.depacketizer.push(&packet.payload).is_ok();
        self.orientation = packet.orientation.unwrap_or(self.orientation);
        if packet.marker || self.codec == Codec::Opus {
            self.close();
        }
    }

    /// Ends the open frame: it is given out, or counted as lost.
    fn close(&mut self) {
        let Some(open) = self.open.take() else {
            return;
        };
        // The depacketizer starts the next frame in any case.
        let finished = self.depacketizer.finish();
        let whole = match finished {
            Ok(None) if open.sane => return,
            Ok(Some(whole)) if open.sane && (whole.begins || !open.after_gap) => whole,
            _ => {
                self.ignored.incomplete_frames += 1;
                self.missing = self.missing.saturating_add(open.packets);
                self.lost = self.lost.saturating_add(open.packets);
                return;
            }
        };
        let missing = std::mem::take(&mut self.missing);
        if !self.references.accept(&whole.reference, missing) {
            self.ignored.undecodable_frames += 1;
            self.lost = self.lost.saturating_add(open.packets);
            return;
        }
        self.give_out(&open, whole);
    }

    fn give_out(&mut self, open: &Open, whole: Whole) {
        if whole.key && self.codec.kind() == Kind::Video {
            self.size = whole.size.unwrap_or_default();
            self.requested_us = None;
        }
        self.ready.push_back(Frame {
            timestamp: open.timestamp,
            arrival_us: open.arrival_us,
            key: whole.key,
            data: whole.data,
            lost_before: std::mem::take(&mut self.lost),
            size: self.size,
            duration_us: whole.duration_us,
            orientation: self.orientation,
            audio_level: open.audio_level,
        });
    }
}
