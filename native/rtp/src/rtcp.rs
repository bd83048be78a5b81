//! RTCP packets (RFC 3550, RFC 4585, RFC 5104): an iterator over compounds, and writers.

use crate::sequence::Sequence;

const HEADER_BYTES: usize = 4;
const TYPE_SR: u8 = 200;
const TYPE_RR: u8 = 201;
const TYPE_SDES: u8 = 202;
const TYPE_BYE: u8 = 203;
const TYPE_RTPFB: u8 = 205;
const TYPE_PSFB: u8 = 206;
const FORMAT_NACK: u8 = 1;
const FORMAT_TRANSPORT_CC: u8 = 15;
const FORMAT_PLI: u8 = 1;
const FORMAT_FIR: u8 = 4;
const FORMAT_APPLICATION: u8 = 15;
const REPORT_BLOCK_BYTES: usize = 24;

/// A receiver's report on one RtpStream (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream reported on.
    pub ssrc: u32,
    /// Share of packets lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the start, 24 bits signed.
    pub cumulative_lost: i32,
    /// Highest sequence number with its rollovers.
    pub highest_sequence: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// The middle 32 bits of the last SR's NTP time; 0 without an SR.
    pub last_sr: u32,
    /// Time since that SR, in 1/65536 s.
    pub delay_since_last_sr: u32,
}

/// A sender's information on its RtpStream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// 32.32 fixed point.
    pub ntp_time: u64,
    /// The same instant on the stream's clock.
    pub rtp_time: u32,
    /// Packets sent since the start.
    pub packets: u32,
    /// Payload bytes sent since the start.
    pub bytes: u32,
}

/// One packet of a compound.
#[derive(Clone, Debug)]
pub enum RtcpPacket<'a> {
    /// Sender report.
    SenderReport {
        /// The sender.
        ssrc: u32,
        /// On its own stream.
        info: SenderInfo,
        /// On the streams of others.
        reports: ReportBlocks<'a>,
    },
    /// Receiver report.
    ReceiverReport {
        /// On the streams of others.
        reports: ReportBlocks<'a>,
    },
    /// BYE.
    Bye {
        /// The first SSRC that left.
        ssrc: u32,
    },
    /// Generic NACK.
    Nack {
        /// The stream with the gaps.
        media_ssrc: u32,
        /// Its lost sequence numbers.
        lost: LostSequences<'a>,
    },
    /// Transport-wide feedback, unparsed.
    TransportFeedback {
        /// After the two SSRCs.
        body: &'a [u8],
    },
    /// Picture loss indication.
    Pli {
        /// The stream that needs a key frame.
        media_ssrc: u32,
    },
    /// Full intra request.
    Fir {
        /// The first entry's stream.
        media_ssrc: u32,
    },
    /// Receiver-estimated maximum bitrate, unparsed.
    Remb {
        /// After the two SSRCs.
        body: &'a [u8],
    },
    /// SDES, XR, APP and other packets that are ignored.
    Other,
}

/// Iterates the packets of a compound; stops at the first that is malformed.
#[derive(Clone, Debug)]
pub struct Compound<'a>(&'a [u8]);

impl<'a> Compound<'a> {
    /// Any bytes; a malformed packet ends the iteration.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Compound<'a> {
    type Item = RtcpPacket<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let &[first, packet_type, l0, l1, ..] = self.0 else {
            return None;
        };
        let total = (usize::from(u16::from_be_bytes([l0, l1])) + 1) * 4;
        let Some((packet, rest)) = (first >> 6 == 2)
            .then(|| self.0.split_at_checked(total))
            .flatten()
        else {
            self.0 = &[];
            return None;
        };
        self.0 = rest;
        let body = &packet[HEADER_BYTES..];
        Some(parse_body(first & 0x1F, packet_type, body).unwrap_or(RtcpPacket::Other))
    }
}

fn parse_body(count: u8, packet_type: u8, body: &[u8]) -> Option<RtcpPacket<'_>> {
    match (packet_type, count) {
        (TYPE_SR, _) => Some(RtcpPacket::SenderReport {
            ssrc: be32(body, 0)?,
            info: SenderInfo {
                ntp_time: (u64::from(be32(body, 4)?) << 32) | u64::from(be32(body, 8)?),
                rtp_time: be32(body, 12)?,
                packets: be32(body, 16)?,
                bytes: be32(body, 20)?,
            },
            reports: ReportBlocks(body.get(24..)?),
        }),
        (TYPE_RR, _) => Some(RtcpPacket::ReceiverReport {
            reports: ReportBlocks(body.get(4..)?),
        }),
        (TYPE_BYE, 1..) => Some(RtcpPacket::Bye {
            ssrc: be32(body, 0)?,
        }),
        (TYPE_RTPFB, FORMAT_NACK) => Some(RtcpPacket::Nack {
            media_ssrc: be32(body, 4)?,
            lost: LostSequences {
                pairs: body.get(8..)?,
                base: 0,
                mask: 0,
            },
        }),
        (TYPE_RTPFB, FORMAT_TRANSPORT_CC) => Some(RtcpPacket::TransportFeedback {
            body: body.get(8..)?,
        }),
        (TYPE_PSFB, FORMAT_PLI) => Some(RtcpPacket::Pli {
            media_ssrc: be32(body, 4)?,
        }),
        (TYPE_PSFB, FORMAT_FIR) => Some(RtcpPacket::Fir {
            media_ssrc: be32(body, 8)?,
        }),
        (TYPE_PSFB, FORMAT_APPLICATION) if body.get(8..12) == Some(b"REMB") => {
            Some(RtcpPacket::Remb {
                body: body.get(8..)?,
            })
        }
        _ => Some(RtcpPacket::Other),
    }
}

/// The report blocks of an SR or RR.
#[derive(Clone, Debug)]
pub struct ReportBlocks<'a>(&'a [u8]);

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.0.split_at_checked(REPORT_BLOCK_BYTES)?;
        self.0 = rest;
        let loss = be32(block, 4)?;
        Some(ReportBlock {
            ssrc: be32(block, 0)?,
            fraction_lost: (loss >> 24) as u8,
            cumulative_lost: ((loss << 8) as i32) >> 8,
            highest_sequence: be32(block, 8)?,
            jitter: be32(block, 12)?,
            last_sr: be32(block, 16)?,
            delay_since_last_sr: be32(block, 20)?,
        })
    }
}

/// The sequence numbers of a generic NACK (RFC 4585 section 6.2.1).
#[derive(Clone, Debug)]
pub struct LostSequences<'a> {
    pairs: &'a [u8],
    base: u16,
    mask: u16,
}

impl Iterator for LostSequences<'_> {
    type Item = Sequence;

    fn next(&mut self) -> Option<Sequence> {
        if self.mask != 0 {
            let bit = self.mask.trailing_zeros() as u16;
            self.mask &= self.mask - 1;
            return Some(Sequence(self.base.wrapping_add(bit + 1)));
        }
        let &[p0, p1, m0, m1, ..] = self.pairs else {
            return None;
        };
        self.pairs = &self.pairs[4..];
        self.base = u16::from_be_bytes([p0, p1]);
        self.mask = u16::from_be_bytes([m0, m1]);
        Some(Sequence(self.base))
    }
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn put_header(out: &mut Vec<u8>, count: u8, packet_type: u8, body_bytes: usize) {
    out.push(0x80 | (count & 0x1F));
    out.push(packet_type);
    out.extend_from_slice(&((body_bytes / 4) as u16).to_be_bytes());
}

fn put_reports(out: &mut Vec<u8>, reports: &[ReportBlock]) {
    for report in reports {
        out.extend_from_slice(&report.ssrc.to_be_bytes());
        let lost = report.cumulative_lost.clamp(-0x80_0000, 0x7F_FFFF) as u32 & 0xFF_FFFF;
        out.extend_from_slice(&((u32::from(report.fraction_lost) << 24) | lost).to_be_bytes());
        out.extend_from_slice(&report.highest_sequence.to_be_bytes());
        out.extend_from_slice(&report.jitter.to_be_bytes());
        out.extend_from_slice(&report.last_sr.to_be_bytes());
        out.extend_from_slice(&report.delay_since_last_sr.to_be_bytes());
    }
}

/// Appends a receiver report of up to 31 blocks.
pub fn write_receiver_report(out: &mut Vec<u8>, sender_ssrc: u32, reports: &[ReportBlock]) {
    let reports = &reports[..reports.len().min(31)];
    put_header(
        out,
        reports.len() as u8,
        TYPE_RR,
        4 + reports.len() * REPORT_BLOCK_BYTES,
    );
    out.extend_from_slice(&sender_ssrc.to_be_bytes());
    put_reports(out, reports);
}

/// Appends a sender report without report blocks.
pub fn write_sender_report(out: &mut Vec<u8>, ssrc: u32, info: &SenderInfo) {
    put_header(out, 0, TYPE_SR, 24);
    out.extend_from_slice(&ssrc.to_be_bytes());
    out.extend_from_slice(&info.ntp_time.to_be_bytes());
    out.extend_from_slice(&info.rtp_time.to_be_bytes());
    out.extend_from_slice(&info.packets.to_be_bytes());
    out.extend_from_slice(&info.bytes.to_be_bytes());
}

/// Appends an SDES packet with one CNAME of up to 255 bytes.
pub fn write_cname(out: &mut Vec<u8>, ssrc: u32, cname: &str) {
    let name = &cname.as_bytes()[..cname.len().min(255)];
    // Item head, text, and at least one zero that ends the chunk, up to a multiple of four.
    let items = (2 + name.len() + 1).next_multiple_of(4);
    put_header(out, 1, TYPE_SDES, 4 + items);
    out.extend_from_slice(&ssrc.to_be_bytes());
    out.extend_from_slice(&[1, name.len() as u8]);
    out.extend_from_slice(name);
    out.resize(out.len() + items - 2 - name.len(), 0);
}

/// Appends a generic NACK for sequence numbers in ascending order.
pub fn write_nack(out: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32, lost: &[Sequence]) {
    let start = out.len();
    put_header(out, FORMAT_NACK, TYPE_RTPFB, 0);
    out.extend_from_slice(&sender_ssrc.to_be_bytes());
    out.extend_from_slice(&media_ssrc.to_be_bytes());
    let mut rest = lost;
    while let Some((&base, following)) = rest.split_first() {
        let mut mask = 0_u16;
        let covered = following
            .iter()
            .take_while(|sequence| {
                let ahead = sequence.distance_from(base);
                let fits = (1..=16).contains(&ahead);
                if fits {
                    mask |= 1 << (ahead - 1);
                }
                fits
            })
            .count();
        rest = &following[covered..];
        out.extend_from_slice(&base.0.to_be_bytes());
        out.extend_from_slice(&mask.to_be_bytes());
    }
    let words = ((out.len() - start) / 4 - 1) as u16;
    out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
}

/// Appends a picture loss indication.
pub fn write_pli(out: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32) {
    put_header(out, FORMAT_PLI, TYPE_PSFB, 8);
    out.extend_from_slice(&sender_ssrc.to_be_bytes());
    out.extend_from_slice(&media_ssrc.to_be_bytes());
}
