//! The JSON records that a reader has to understand; the others are only passed on.

use serde::Deserialize;
use std::collections::HashMap;

use crate::assembler::ExtensionIds;
use crate::codec::Codec;

/// What of a JSON record concerns tracks.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub(crate) enum TapEvent {
    StreamAdded {
        stream: String,
        tracks: Vec<AddedTrack>,
    },
    StreamRemoved {
        stream: String,
    },
    #[serde(other)]
    Other,
}

/// A track of a stream.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AddedTrack {
    pub(crate) ssrc: u32,
    codec: String,
    pub(crate) clock_rate: u32,
    #[serde(default)]
    extensions: HashMap<String, u8>,
}

impl AddedTrack {
    /// `None`: there is no depacketizer.
    pub(crate) fn codec(&self) -> Option<Codec> {
        Codec::from_name(&self.codec)
    }

    pub(crate) fn extension_ids(&self) -> ExtensionIds {
        let id = |name| self.extensions.get(name).copied();
        ExtensionIds {
            audio_level: id("audio_level"),
            video_orientation: id("video_orientation"),
        }
    }
}
