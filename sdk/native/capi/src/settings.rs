//! What is said of a session or a publisher before it is made.

use std::path::PathBuf;

use crate::callbacks::CapturerCallbacks;

#[derive(Clone, Default)]
pub(crate) struct SessionSettings {
    pub(crate) url: Option<String>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) is_quiet_of_connections: bool,
}

#[derive(Clone)]
pub(crate) struct PublisherSettings {
    pub(crate) name: String,
    pub(crate) capturer: Option<CapturerCallbacks>,
    pub(crate) has_audio: bool,
    pub(crate) has_video: bool,
}

impl Default for PublisherSettings {
    fn default() -> Self {
        Self {
            name: String::new(),
            capturer: None,
            has_audio: true,
            has_video: true,
        }
    }
}
