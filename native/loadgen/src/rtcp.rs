//! The subset of RTCP that a load client uses (RFC 3550, RFC 4585).

use std::ops::AddAssign;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SDES: u8 = 202;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
const UNIX_TO_NTP_S: u64 = 2_208_988_800;

/// The requests in a compound packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Feedback {
    /// PLI and FIR.
    pub key_frame_requests: u64,
    /// Generic NACK packets.
    pub nacks: u64,
    /// Receiver reports, alone or first in a compound.
    pub receiver_reports: u64,
}

impl AddAssign for Feedback {
    fn add_assign(&mut self, other: Self) {
        self.key_frame_requests += other.key_frame_requests;
        self.nacks += other.nacks;
        self.receiver_reports += other.receiver_reports;
    }
}

/// The timing of a sender report, for LSR and DLSR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderReport {
    /// SSRC of the sender.
    pub ssrc: u32,
    /// Middle 32 bits of its NTP time.
    pub compact_ntp: u32,
}

/// One report block of a receiver report.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReportBlock {
    /// SSRC of the reported stream.
    pub ssrc: u32,
    /// Fraction lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Cumulative packets lost.
    pub lost: u32,
    /// Extended highest sequence number.
    pub highest: u32,
    /// Jitter in RTP clock ticks.
    pub jitter: u32,
    /// LSR: the timestamp of the last sender report.
    pub last_sender_report: u32,
    /// DLSR: the time since then, in 1/65,536 s.
    pub delay: u32,
}

fn packets(compound: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = compound;
    std::iter::from_fn(move || {
        let head = rest.get(..4)?;
        let length = 4 + 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
        let packet = rest.get(..length)?;
        rest = &rest[length..];
        Some(packet)
    })
}

/// The requests that a server's compound packet sends to a sender.
pub fn feedback(compound: &[u8]) -> Feedback {
    let mut found = Feedback::default();
    for packet in packets(compound) {
        match (packet[1], packet[0] & 31) {
            (PAYLOAD_FEEDBACK, 1 | 4) => found.key_frame_requests += 1,
            (TRANSPORT_FEEDBACK, 1) => found.nacks += 1,
            (RECEIVER_REPORT, _) => found.receiver_reports += 1,
            _ => {}
        }
    }
    found
}

/// The sender reports of a compound packet.
pub fn sender_reports(compound: &[u8]) -> impl Iterator<Item = SenderReport> + '_ {
    packets(compound)
        .filter(|packet| packet[1] == SENDER_REPORT)
        .filter_map(|packet| {
            Some(SenderReport {
                ssrc: u32::from_be_bytes(packet.get(4..8)?.try_into().ok()?),
                compact_ntp: u32::from_be_bytes(packet.get(10..14)?.try_into().ok()?),
            })
        })
}

fn sdes(out: &mut Vec<u8>, ssrc: u32) {
    out.extend_from_slice(&[0x81, SDES, 0, 3]);
    out.extend_from_slice(&ssrc.to_be_bytes());
    out.extend_from_slice(b"\x01\x04load\x00\x00");
}

/// Builds a sender report with CNAME.
pub fn build_sender_report(
    ssrc: u32,
    now_unix_ns: u64,
    timestamp: u32,
    packets: u64,
    bytes: u64,
) -> Vec<u8> {
    let seconds = (now_unix_ns / 1_000_000_000 + UNIX_TO_NTP_S) as u32;
    let fraction = (((now_unix_ns % 1_000_000_000) << 32) / 1_000_000_000) as u32;
    let mut out = vec![0x80, SENDER_REPORT, 0, 6];
    for value in [
        ssrc,
        seconds,
        fraction,
        timestamp,
        packets as u32,
        bytes as u32,
    ] {
        out.extend_from_slice(&value.to_be_bytes());
    }
    sdes(&mut out, ssrc);
    out
}

/// Builds a receiver report with at most 31 blocks, and CNAME.
pub fn build_receiver_report(ssrc: u32, blocks: &[ReportBlock]) -> Vec<u8> {
    let blocks = &blocks[..blocks.len().min(31)];
    let mut out = vec![
        0x80 | blocks.len() as u8,
        RECEIVER_REPORT,
        0,
        (1 + 6 * blocks.len()) as u8,
    ];
    out.extend_from_slice(&ssrc.to_be_bytes());
    for block in blocks {
        let lost = u32::from(block.fraction_lost) << 24 | (block.lost & 0x00ff_ffff);
        for value in [
            block.ssrc,
            lost,
            block.highest,
            block.jitter,
            block.last_sender_report,
            block.delay,
        ] {
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
    sdes(&mut out, ssrc);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_in_a_compound_are_counted() {
        let mut compound = build_receiver_report(1, &[]);
        compound.extend_from_slice(&[0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
        compound.extend_from_slice(&[0x84, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
        compound.extend_from_slice(&[0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0, 0]);
        compound.extend_from_slice(&[0x81, 206, 0, 200]);
        let right = Feedback {
            key_frame_requests: 2,
            nacks: 1,
            receiver_reports: 1,
        };
        assert_eq!(feedback(&compound), right);
    }

    #[test]
    fn a_sender_report_is_read_back_from_its_compound() {
        let compound = build_sender_report(9, 1_500_000_000, 3, 4, 5);
        let found: Vec<SenderReport> = sender_reports(&compound).collect();
        let ntp = (1 + UNIX_TO_NTP_S) as u32;
        assert_eq!(
            found,
            [SenderReport {
                ssrc: 9,
                compact_ntp: ntp << 16 | 0x8000
            }]
        );
    }

    #[test]
    fn a_report_has_the_length_its_header_says() {
        let compound = build_receiver_report(1, &[ReportBlock::default(); 40]);
        assert_eq!(
            packets(&compound).map(<[u8]>::len).collect::<Vec<_>>(),
            [8 + 31 * 24, 16]
        );
        assert_eq!(compound.len(), 8 + 31 * 24 + 16);
    }
}
