//! Congestion control of downlinks.
//!
//! Data flow: a downlink ([`downlink`]) stamps and counts each packet it sends ([`sent_packets`]).
//! Transport-wide feedback goes through the trendline filter ([`trendline_estimator`]), the loss
//! classifier ([`loss_limit`]) and the rate meters into the bandwidth estimate
//! ([`bandwidth_estimator`]). Every 100 ms the allocator ([`allocator`]) distributes the estimate,
//! less audio, among the layer options of the subscriber's video tracks; the pacer ([`pacer`])
//! spreads what is sent, and the prober ([`prober`]) raises the estimate with probe clusters while
//! more is requested.
//!
//! States of an estimate: start (no feedback yet), unlimited (only what was shown to pass; nothing
//! is paused), limited (a sign of congestion was seen). REMB and then receiver reports stand in
//! where transport-wide feedback is missing.
//!
//! Left out: audio is never reduced; uplinks are controlled by their senders. docs/bandwidth.md
//! explains the parts and the origin of their constants.

pub(crate) mod allocator;
pub(crate) mod bandwidth_estimator;
pub(crate) mod downlink;
mod loss_limit;
pub(crate) mod pacer;
mod prober;
mod rate_meter;
mod sent_packets;
mod trendline_estimator;

/// What each packet costs the path beside its payload: RTP with its extensions, the SRTP tag, UDP
/// and IPv4. Measured layers and sent packets count it alike, as the allocator compares them.
pub(crate) const OVERHEAD_BYTES: usize = 12 + 12 + 16 + 8 + 20;
