//! Range checks on the values of a command, beyond its types.

use std::fmt;

use sealroute_forward::{DownTrackParameters, ExtensionIds, PreferredLayers, UpTrackParameters};

use super::commands::{Command, SrtpSecrets};
use super::settings::WorkerSettings;

/// The text names the fault, never a value: values may be secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

/// One hour: deadlines are sums of durations and must not overflow.
const MAX_DURATION_MS: u64 = 3_600_000;

/// An event of the control plane with the longest connection data and layout classes, many times.
const MAX_TAP_JSON_BYTES: usize = 32_768;

type Check = Result<(), Malformed>;

fn require(condition: bool, message: &'static str) -> Check {
    if condition {
        Ok(())
    } else {
        Err(Malformed(message))
    }
}

impl Command {
    /// Whether all values are in range.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Check {
        match self {
            Self::OpenTransport(of) => own_credentials(&of.local_ufrag, &of.local_pwd.0),
            Self::RestartIce(of) => own_credentials(&of.local_ufrag, &of.local_pwd.0),
            // The peer's characters do not matter: they are only echoed.
            Self::SetPeerCredentials(of) => credentials(&of.ufrag, &of.pwd.0),
            Self::SetSrtpKeys(of) => srtp_secrets(&of.secrets),
            Self::SendDtls(of) => {
                require((1..=1_500).contains(&of.datagram.0.len()), "datagram size")
            }
            Self::OpenTap(of) => require(
                of.socket.keeps_records(),
                "a tap needs a connected SOCK_SEQPACKET socket of this host",
            ),
            Self::WriteTap(of) => {
                let fits = (1..=MAX_TAP_JSON_BYTES).contains(&of.body.0.len());
                require(fits, "record size")
            }
            Self::Publish(of) => {
                require(!of.up_tracks.is_empty(), "a publisher needs an up track")?;
                of.up_tracks.iter().try_for_each(up_track)
            }
            Self::Subscribe(of) => {
                require(
                    !of.down_tracks.is_empty(),
                    "a subscriber needs a down track",
                )?;
                of.down_tracks.iter().try_for_each(down_track)
            }
            Self::DeclareKids(of) => mid(&of.mid),
            Self::SetUpTrackForwarding(of) => mid(&of.mid),
            Self::SetPreferredLayers(of) => preferred_layers(of.preferred),
            Self::FeedTrunk(of) => {
                let fit = !of.ssrcs.is_empty() && of.ssrcs.iter().all(|&ssrc| ssrc > 0);
                require(fit, "SSRC is out of range")?;
                mid(&of.mid)
            }
            Self::SetTrunkDemand(of) => mid(&of.mid),
            Self::OpenTrunk(_)
            | Self::OpenRouter(_)
            | Self::CloseRouter(_)
            | Self::CloseTransport(_)
            | Self::Unpublish(_)
            | Self::SetDownTrackForwarding(_)
            | Self::Unsubscribe(_) => Ok(()),
        }
    }
}

impl WorkerSettings {
    /// Whether all values are in range.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Check {
        let consent = (1..=MAX_DURATION_MS).contains(&self.consent_timeout_ms);
        require(consent, "consent timeout is out of range")?;
        let interval = self.key_frame_interval_ms <= MAX_DURATION_MS;
        require(interval, "key frame interval is out of range")?;
        let ring = (2..=1 << 20).contains(&self.event_ring_size);
        require(ring, "event ring size is out of range")
    }
}

/// ice-char of RFC 8839 section 5.4.
fn is_ice_chars(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

fn own_credentials(ufrag: &str, pwd: &str) -> Check {
    let own = is_ice_chars(ufrag) && is_ice_chars(pwd);
    require(own, "ICE credentials are malformed")?;
    credentials(ufrag, pwd)
}

/// RFC 8839 section 5.4: 4 to 256 and 22 to 256 characters.
fn credentials(ufrag: &str, pwd: &str) -> Check {
    let fit = (4..=256).contains(&ufrag.len()) && (22..=256).contains(&pwd.len());
    require(fit, "ICE credentials are malformed")
}

fn srtp_secrets(secrets: &SrtpSecrets) -> Check {
    let (key, salt) = (secrets.profile.key_bytes(), secrets.profile.salt_bytes());
    let keys = [&secrets.receive_key, &secrets.send_key];
    require(keys.iter().all(|one| one.0.len() == key), "key size")?;
    let salts = [&secrets.receive_salt, &secrets.send_salt];
    require(salts.iter().all(|one| one.0.len() == salt), "salt size")
}

fn up_track(up_track: &UpTrackParameters) -> Check {
    require(
        !up_track.encodings.is_empty(),
        "an up track needs an encoding",
    )?;
    require(up_track.clock_rate_hz > 0, "clock rate is out of range")?;
    let rids = up_track.encodings.iter().filter_map(|one| one.rid.as_ref());
    let is_rid = |rid: &String| (1..=255).contains(&rid.len()) && is_graphic(rid);
    require(rids.into_iter().all(is_rid), "rid is malformed")?;
    mid(&up_track.mid)?;
    payload_types(up_track.payload_type, up_track.rtx_payload_type)?;
    extension_ids(&up_track.extensions)
}

fn down_track(down_track: &DownTrackParameters) -> Check {
    require(down_track.ssrc > 0, "SSRC is out of range")?;
    let both = down_track.rtx_ssrc.is_some() == down_track.rtx_payload_type.is_some();
    require(both, "rtx is half given")?;
    mid(&down_track.mid)?;
    mid(&down_track.up_track_mid)?;
    payload_types(down_track.payload_type, down_track.rtx_payload_type)?;
    extension_ids(&down_track.extensions)
}

fn preferred_layers(preferred: PreferredLayers) -> Check {
    let is_rate = |rate: f32| rate.is_finite() && rate >= 0.0;
    require(
        preferred.max_frame_rate.is_none_or(is_rate),
        "frame rate is out of range",
    )
}

fn is_graphic(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// An m-line's identification tag.
fn mid(value: &str) -> Check {
    let fits = is_graphic(value) && (1..=16).contains(&value.len());
    require(fits, "mid is malformed")
}

fn payload_types(media: u8, rtx: Option<u8>) -> Check {
    let fit = media < 128 && rtx.is_none_or(|rtx| rtx < 128);
    require(fit, "payload type is out of range")
}

/// 15 is reserved in the one-byte form (RFC 8285 section 4.2).
fn extension_ids(ids: &ExtensionIds) -> Check {
    let fit = ids.0.iter().all(|&(_, id)| id != 0 && id != 15);
    require(fit, "extension id is out of range")
}

#[cfg(test)]
mod tests {
    use super::{MAX_DURATION_MS, WorkerSettings};

    #[test]
    fn durations_have_bounds() {
        let with = |consent_timeout_ms, key_frame_interval_ms| WorkerSettings {
            consent_timeout_ms,
            key_frame_interval_ms,
            ..WorkerSettings::default()
        };
        assert_eq!(with(MAX_DURATION_MS, MAX_DURATION_MS).check(), Ok(()));
        for (consent, interval) in [
            (0, 0),
            (MAX_DURATION_MS + 1, 0),
            (u64::MAX, 0),
            (1, u64::MAX),
        ] {
            assert!(with(consent, interval).check().is_err());
        }
    }
}
