//! The settings of a worker.

use std::net::IpAddr;
use std::time::Duration;

use sealroute_forward::ForwardSettings;
use sealroute_rtp::DataRate;
use serde::Deserialize;

/// The settings of a worker.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct WorkerSettings {
    /// The address that receives media; `::` includes IPv4.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub host: IpAddr,
    /// 0: chosen by the system.
    pub port: u16,
    /// Accept media over TCP on the same port (ICE-TCP), for networks that block UDP.
    pub tcp: bool,
    /// A peer without a valid check for this long is gone (RFC 7675).
    pub consent_timeout_ms: u64,
    /// Capacity for events that wait for the control plane.
    pub event_ring_size: usize,
    /// Receive buffer of the UDP socket.
    pub receive_buffer_bytes: usize,
    /// Minimum time between key-frame requests to the publisher of a video. Persistent requests are
    /// sent half as often.
    pub key_frame_interval_ms: u64,
    /// Large sessions forward only this many audio tracks, the loudest; 0: all.
    pub loudest_voices: usize,
    /// A session with more audio tracks than this is large.
    pub voices_of_large_session: usize,
    /// Initial bandwidth estimate per subscriber, used until feedback arrives.
    pub start_downlink_kbps: u32,
    /// Upper limit of the estimate, whatever a peer reports.
    pub max_downlink_kbps: u32,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            host: IpAddr::from([0, 0, 0, 0]),
            port: 0,
            tcp: true,
            consent_timeout_ms: 30_000,
            event_ring_size: 4_096,
            receive_buffer_bytes: 4 << 20,
            key_frame_interval_ms: 500,
            loudest_voices: 0,
            voices_of_large_session: 0,
            start_downlink_kbps: 800,
            max_downlink_kbps: 100_000,
        }
    }
}

impl WorkerSettings {
    pub(crate) fn consent_timeout(&self) -> Duration {
        Duration::from_millis(self.consent_timeout_ms)
    }

    pub(crate) fn forward(&self) -> ForwardSettings {
        ForwardSettings {
            key_frame_interval: Duration::from_millis(self.key_frame_interval_ms),
            loudest_voices: self.loudest_voices,
            voices_of_large_session: self.voices_of_large_session,
            start_downlink: DataRate::from_kbps(self.start_downlink_kbps.into()),
            max_downlink: DataRate::from_kbps(self.max_downlink_kbps.into()),
        }
    }
}
