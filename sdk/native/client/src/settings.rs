//! What a client is told once.

use std::fmt;
use std::path::PathBuf;

use sealroute_e2ee::{Codec, EncryptionSecret};

/// Of one session. Never printed.
pub struct Settings {
    /// `http(s)://host[:port][/path]` of the server.
    pub url: String,
    /// Of the project, or its application id.
    pub api_key: String,
    /// As the application got it from its server.
    pub session_id: String,
    /// Signed by the application.
    pub token: String,
    /// Of encrypted sessions. With one, nothing clear is ever sent or played.
    pub secret: Option<EncryptionSecret>,
    /// Certificates (PEM) that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// What it can receive; none: all that there is.
    pub codecs: Option<Vec<Codec>>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Settings(…)")
    }
}
