//! The members of the session and what they publish, as the server says. Only a whole message of
//! the server changes it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sealroute_protocol::messages::{ConnectionInfo, StreamInfo, StreamPropertyChanged};

/// Members that left whose names are kept, the last ones: a session may live for months.
const MAX_DEPARTED: usize = 10_000;

#[derive(Debug, Default)]
pub(crate) struct Directory {
    connections: BTreeMap<String, ConnectionInfo>,
    streams: BTreeMap<String, StreamInfo>,
    /// What the tokens said of members that left, by connection.
    departed: BTreeMap<String, Option<String>>,
    /// Who left, in order.
    leavings: VecDeque<String>,
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

    /// `None` if it was known. Media and signals that decrypt are bound to the id: a connection
    /// that comes back has the name it had before.
    pub(crate) fn add_connection(&mut self, told: &ConnectionInfo) -> Option<ConnectionInfo> {
        let id = &told.connection_id;
        if self.connections.contains_key(id) {
            return None;
        }
        let data = self.departed.remove(id);
        if data.is_some() {
            self.leavings.retain(|one| one != id);
        }
        let connection = ConnectionInfo {
            data: data.unwrap_or_else(|| told.data.clone()),
            ..told.clone()
        };
        self.connections.insert(id.clone(), connection.clone());
        Some(connection)
    }

    pub(crate) fn remove_connection(&mut self, connection_id: &str) -> bool {
        let Some(left) = self.connections.remove(connection_id) else {
            return false;
        };
        self.departed.insert(connection_id.to_owned(), left.data);
        self.leavings.push_back(connection_id.to_owned());
        while self.leavings.len() > MAX_DEPARTED {
            if let Some(first) = self.leavings.pop_front() {
                self.departed.remove(&first);
            }
        }
        true
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_said_to_come_back_has_the_name_of_who_left() {
        let mut directory = Directory::default();
        for data in [Some("Bob"), Some("Mallory"), None] {
            let told = ConnectionInfo {
                connection_id: "c".into(),
                creation_time: 1,
                data: data.map(Into::into),
            };
            let added = directory.add_connection(&told).expect("it had left");
            assert_eq!(added.data.as_deref(), Some("Bob"));
            assert!(directory.add_connection(&told).is_none());
            assert!(directory.remove_connection("c"));
        }
    }
    #[test]
    fn of_those_who_left_the_last_ones_are_remembered() {
        let mut directory = Directory::default();
        for number in 0..=MAX_DEPARTED {
            let told = ConnectionInfo {
                connection_id: number.to_string(),
                creation_time: 1,
                data: Some("before".into()),
            };
            assert!(directory.add_connection(&told).is_some());
            assert!(directory.remove_connection(&told.connection_id));
        }
        assert_eq!(directory.departed.len(), MAX_DEPARTED);
        for (number, expected) in [(0, "after"), (1, "before"), (MAX_DEPARTED, "before")] {
            let told = ConnectionInfo {
                connection_id: number.to_string(),
                creation_time: 1,
                data: Some("after".into()),
            };
            let added = directory.add_connection(&told).expect("it had left");
            assert_eq!(added.data.as_deref(), Some(expected));
        }
    }

    #[test]
    fn who_comes_and_goes_all_the_time_drives_nobody_out() {
        let mut directory = Directory::default();
        for number in (0..2).chain((0..MAX_DEPARTED).map(|_| 1)) {
            let told = ConnectionInfo {
                connection_id: number.to_string(),
                creation_time: 1,
                data: Some("before".into()),
            };
            assert!(directory.add_connection(&told).is_some());
            assert!(directory.remove_connection(&told.connection_id));
        }
        assert_eq!(directory.leavings, ["0", "1"]);
        assert_eq!(directory.departed.len(), 2);
    }
}
