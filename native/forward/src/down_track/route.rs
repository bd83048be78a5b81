//! The route of a down track: the neighbors that it lies between.

use crate::parameters::{MediaKind, PublisherHandle, SubscriberHandle, TransportHandle};
use crate::registry::{DownlinkKey, UpTrackKey};

/// From whom to whom. It never changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) subscriber: SubscriberHandle,
    pub(crate) publisher: PublisherHandle,
    pub(crate) transport: TransportHandle,
    pub(crate) up_track: UpTrackKey,
    pub(crate) downlink: DownlinkKey,
    pub(crate) kind: MediaKind,
    /// Its transport is local: no network, and a reader that gets every voice.
    pub(crate) is_local: bool,
}
