//! The members of the session and what they publish, as the server says. Only a whole message of
//! the server changes it.

use std::collections::{BTreeMap, BTreeSet};

use sealroute_protocol::messages::{ConnectionInfo, StreamInfo, StreamPropertyChanged};

#[derive(Debug, Default)]
pub(crate) struct Directory {
    connections: BTreeMap<String, ConnectionInfo>,
    streams: BTreeMap<String, StreamInfo>,
}

impl Directory {
    pub(crate) fn connections(&self) -> impl Iterator<Item = &ConnectionInfo> {
        self.connections.values()
    }

    pub(crate) fn streams(&self) -> impl Iterator<Item = &StreamInfo> {
        self.streams.values()
    }

    pub(crate) fn stream(&self, stream_id: &str) -> Option<&StreamInfo> {
        self.streams.get(stream_id)
    }

    pub(crate) fn has_connection(&self, connection_id: &str) -> bool {
        self.connections.contains_key(connection_id)
    }

    /// False if it was known.
    pub(crate) fn add_connection(&mut self, connection: &ConnectionInfo) -> bool {
        let id = &connection.connection_id;
        let is_new = !self.connections.contains_key(id);
        if is_new {
            self.connections.insert(id.clone(), connection.clone());
        }
        is_new
    }

    pub(crate) fn remove_connection(&mut self, connection_id: &str) -> bool {
        self.connections.remove(connection_id).is_some()
    }

    /// False if it was known: whose it is never changes.
    pub(crate) fn add_stream(&mut self, stream: &StreamInfo) -> bool {
        let is_new = !self.streams.contains_key(&stream.stream_id);
        if is_new {
            self.streams
                .insert(stream.stream_id.clone(), stream.clone());
        }
        is_new
    }

    pub(crate) fn remove_stream(&mut self, stream_id: &str) -> bool {
        self.streams.remove(stream_id).is_some()
    }

    /// Nothing else of a stream ever changes.
    pub(crate) fn change_stream(&mut self, changed: &StreamPropertyChanged) -> bool {
        let Some(stream) = self.streams.get_mut(&changed.stream_id) else {
            return false;
        };
        stream.has_audio = changed.has_audio.or(stream.has_audio);
        stream.has_video = changed.has_video.or(stream.has_video);
        if let Some(dimensions) = &changed.video_dimensions {
            stream.video_dimensions = Some(dimensions.clone());
        }
        true
    }

    /// Streams and connections that a snapshot does not have.
    pub(crate) fn missing_from(
        &self,
        streams: &[StreamInfo],
        connections: &[ConnectionInfo],
    ) -> (Vec<String>, Vec<String>) {
        let streams: BTreeSet<&str> = streams.iter().map(|one| one.stream_id.as_str()).collect();
        let members: BTreeSet<&str> = connections
            .iter()
            .map(|one| one.connection_id.as_str())
            .collect();
        let gone = |known: Vec<&String>, present: &BTreeSet<&str>| -> Vec<String> {
            let gone = known
                .into_iter()
                .filter(|id| !present.contains(id.as_str()));
            gone.cloned().collect()
        };
        (
            gone(self.streams.keys().collect(), &streams),
            gone(self.connections.keys().collect(), &members),
        )
    }
}
