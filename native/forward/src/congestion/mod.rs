//! What a downlink carries: measured, divided among what its subscriber wants, and kept to.
//!
//! docs/bandwidth.md explains the parts and where their constants come from.

pub(crate) mod allocator;
pub(crate) mod bandwidth_estimator;
pub(crate) mod downlink;
mod loss_limit;
pub(crate) mod pacer;
mod prober;
mod rate_meter;
mod sent_packets;
mod trendline_estimator;
