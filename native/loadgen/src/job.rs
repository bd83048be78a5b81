//! The job: one JSON document on standard input, written by the signaling side.

use serde::Deserialize;

/// A whole run.
#[derive(Debug, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum Job {
    /// Clients of a server.
    Load(Load),
    /// The same sends without a server and without cryptography.
    Floor(Floor),
    /// An attack.
    Attack(Attack),
}

/// Joined clients, and the length of each phase.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Clients are joined and silent: the idle cost.
    pub silent_s: f64,
    /// Media flows, not yet measured.
    pub warm_s: f64,
    /// The measured window.
    pub seconds: f64,
    /// Interval between polls of the subscribers' sockets. A longer one costs less and needs larger
    /// buffers.
    #[serde(default = "default_poll_ms")]
    pub poll_ms: f64,
    /// Interval between a transport's consent checks (RFC 7675 suggests about 5 s).
    #[serde(default = "default_consent_ms")]
    pub consent_ms: f64,
    /// Senders.
    pub publishers: Vec<PublisherJob>,
    /// Receivers.
    pub subscribers: Vec<TransportJob>,
}

/// One stream's sender.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublisherJob {
    /// The uplink.
    pub transport: TransportJob,
    /// The media sent over it.
    pub media: MediaJob,
}

/// One connected UDP socket.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransportJob {
    /// Inherited file descriptor; connected to the server.
    pub fd: i32,
    /// Absent: plain RTP, for servers that accept it.
    #[serde(default)]
    pub srtp: Option<SrtpJob>,
    /// Absent: no consent checks.
    #[serde(default)]
    pub ice: Option<IceJob>,
}

/// SRTP keys of both directions in hexadecimal.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SrtpJob {
    /// A profile name of RFC 5764 or RFC 7714.
    pub profile: String,
    /// Master key for packets that this client sends.
    pub local_key: String,
    /// The same.
    pub local_salt: String,
    /// Master key for packets that it receives.
    pub remote_key: String,
    /// The same.
    pub remote_salt: String,
}

impl std::fmt::Debug for SrtpJob {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SrtpJob")
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}

/// ICE credentials: checks are sent with the remote pair and answered with the local one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IceJob {
    /// This client's fragment.
    pub local_ufrag: String,
    /// This client's password.
    pub local_password: String,
    /// The server's fragment.
    pub remote_ufrag: String,
    /// The server's password.
    pub remote_password: String,
}

impl std::fmt::Debug for IceJob {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("IceJob").finish_non_exhaustive()
    }
}

/// The packet layout of a codec.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum WireCodec {
    /// RFC 7587; one packet per frame.
    Opus,
    /// RFC 7741 with a 15-bit picture id.
    Vp8,
}

/// A stream's media.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaJob {
    /// Packet layout.
    pub codec: WireCodec,
    /// RTP synchronization source.
    pub ssrc: u32,
    /// RTP payload type.
    pub payload_type: u8,
    /// Packets per second.
    pub rate_pps: f64,
    /// RTP payload bytes.
    pub payload_bytes: usize,
    /// Packets per frame: marker, timestamp and SFrame header change with the frame.
    pub packets_per_frame: u32,
    /// Packets sent back to back.
    pub burst: u32,
    /// SFrame key id in hexadecimal; absent: unencrypted payloads.
    #[serde(default)]
    pub kid: Option<String>,
    /// Constant one-byte header extensions (id, hexadecimal value).
    #[serde(default)]
    pub extensions: Vec<(u8, String)>,
}

/// The floor: one socket sends to `sinks` sockets the datagrams that a server would send.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// Receivers.
    pub sinks: usize,
    /// Datagram bytes.
    pub datagram_bytes: usize,
    /// Simulated incoming packets per second.
    pub rate_pps: f64,
    /// Consecutive packets per destination.
    pub burst: u32,
    /// Whether bursts are sent as one segmented message (`UDP_SEGMENT`).
    pub segmented: bool,
    /// The measured window.
    pub seconds: f64,
}

/// The datagrams sent to a media port.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum AttackKind {
    /// Random bytes of random length.
    Noise,
    /// STUN checks for transports that do not exist.
    Checks,
    /// DTLS `ClientHello`s that offer NULL ciphers.
    Hellos,
    /// RTP of a known SSRC with a wrong authentication tag.
    Forged,
    /// Random bytes with the first byte of DTLS; every fourth is a complete `ClientHello`.
    Records,
}

/// An attack without keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attack {
    /// Kind of datagrams.
    pub kind: AttackKind,
    /// The media port.
    pub target: std::net::SocketAddrV4,
    /// Datagrams per second, over all sockets.
    pub rate_pps: f64,
    /// Duration.
    pub seconds: f64,
    /// Number of the attackers' own sockets.
    #[serde(default = "default_sockets")]
    pub sockets: usize,
    /// Inherited, connected sockets of victims: their addresses are forged, and nothing is
    /// received.
    #[serde(default)]
    pub fds: Vec<i32>,
    /// SSRC of forged RTP.
    #[serde(default)]
    pub ssrc: u32,
    /// Seed of the random bytes.
    #[serde(default)]
    pub seed: u64,
}

fn default_sockets() -> usize {
    16
}

fn default_poll_ms() -> f64 {
    20.0
}

fn default_consent_ms() -> f64 {
    4_000.0
}

/// Decodes hexadecimal text.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_refused() {
        let text = r#"{"mode":"floor","sinks":1,"datagram_bytes":100,"rate_pps":1,"burst":1,
            "segmented":false,"seconds":1,"surprise":2}"#;
        assert!(serde_json::from_str::<Job>(text).is_err());
    }

    #[test]
    fn keys_never_show_in_debug_output() {
        let keys = SrtpJob {
            profile: "p".into(),
            local_key: "aabb".into(),
            local_salt: "aabb".into(),
            remote_key: "aabb".into(),
            remote_salt: "aabb".into(),
        };
        assert!(!format!("{keys:?}").contains("aabb"));
    }

    #[test]
    fn hexadecimal_text_round_trips_and_bad_text_is_none() {
        assert_eq!(unhex("00ff10"), Some(vec![0, 255, 16]));
        for bad in ["0", "zz", "é0"] {
            assert_eq!(unhex(bad), None);
        }
    }
}
