//! The job: what the signaling side hands over, one JSON document on stdin.

use serde::Deserialize;

/// A whole run.
#[derive(Debug, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum Job {
    /// Clients of a server.
    Load(Load),
    /// The same sends without a server and without crypto.
    Floor(Floor),
    /// Strangers.
    Attack(Attack),
}

/// Joined clients and how long they do what.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Joined and silent first: the idle cost.
    pub silent_s: f64,
    /// Media flows, not yet measured.
    pub warm_s: f64,
    /// The measured window.
    pub seconds: f64,
    /// Between looks into the subscribers' sockets. Longer costs less and needs larger buffers.
    #[serde(default = "default_poll_ms")]
    pub poll_ms: f64,
    /// Between a transport's consent checks (RFC 7675 says about 5 s).
    #[serde(default = "default_consent_ms")]
    pub consent_ms: f64,
    /// Who sends.
    pub publishers: Vec<PublisherJob>,
    /// Who receives.
    pub subscribers: Vec<TransportJob>,
}

/// One stream's sender.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublisherJob {
    /// Its uplink.
    pub transport: TransportJob,
    /// Its media.
    pub media: MediaJob,
}

/// One connected UDP socket.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransportJob {
    /// Inherited file descriptor; connected to the server.
    pub fd: i32,
    /// Absent: plain RTP, for servers that take it.
    #[serde(default)]
    pub srtp: Option<SrtpJob>,
    /// Absent: no consent checks.
    #[serde(default)]
    pub ice: Option<IceJob>,
}

/// SRTP keys of both directions, hexadecimal.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SrtpJob {
    /// An RFC 5764 or RFC 7714 profile name.
    pub profile: String,
    /// Seals what this client sends.
    pub local_key: String,
    /// The same.
    pub local_salt: String,
    /// Opens what it receives.
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

/// What a codec looks like on the wire.
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
    /// RTP synchronisation source.
    pub ssrc: u32,
    /// RTP payload type.
    pub payload_type: u8,
    /// Packets per second.
    pub rate_pps: f64,
    /// RTP payload bytes.
    pub payload_bytes: usize,
    /// Packets of one frame: marker, timestamp and SFrame header change with the frame.
    pub packets_per_frame: u32,
    /// Packets sent back to back.
    pub burst: u32,
    /// Hexadecimal SFrame key id; absent: clear payloads.
    #[serde(default)]
    pub kid: Option<String>,
    /// Constant one-byte header extensions (id, hexadecimal value).
    #[serde(default)]
    pub extensions: Vec<(u8, String)>,
}

/// The floor: one socket sends to `sinks` sockets what a server would.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// Receivers.
    pub sinks: usize,
    /// Datagram bytes.
    pub datagram_bytes: usize,
    /// Incoming packets per second it imitates.
    pub rate_pps: f64,
    /// Packets per destination at once.
    pub burst: u32,
    /// Bursts leave as one segmented message (`UDP_SEGMENT`).
    pub segmented: bool,
    /// The measured window.
    pub seconds: f64,
}

/// What is thrown at a media port.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum AttackKind {
    /// Random bytes of random length.
    Noise,
    /// STUN checks for transports that there are not.
    Checks,
    /// DTLS `ClientHello`s that offer NULL ciphers.
    Hellos,
    /// RTP of a known SSRC whose seal is wrong.
    Forged,
    /// What has the first byte of DTLS; every fourth is a whole `ClientHello`.
    Records,
}

/// An attack without keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attack {
    /// What is sent.
    pub kind: AttackKind,
    /// The media port.
    pub target: std::net::SocketAddrV4,
    /// Datagrams per second, of all sockets together.
    pub rate_pps: f64,
    /// How long.
    pub seconds: f64,
    /// The attackers' own sockets.
    #[serde(default = "default_sockets")]
    pub sockets: usize,
    /// Inherited, connected sockets of victims: their addresses are forged, nothing is received.
    #[serde(default)]
    pub fds: Vec<i32>,
    /// Of forged RTP.
    #[serde(default)]
    pub ssrc: u32,
    /// Of what is random.
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

/// Bytes of a hexadecimal text.
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
    fn unknown_members_are_refused() {
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
