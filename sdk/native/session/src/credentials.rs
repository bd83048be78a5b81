//! Who joins, and with what.

use std::fmt;

use sealroute_protocol::messages::CodecName;

/// What the application got from its server. Never printed.
pub struct Credentials {
    /// Of the project, or its application id.
    pub api_key: String,
    /// As the application gave it: keys are derived from it, never from an id of the server.
    pub session_id: String,
    /// Signed by the application.
    pub token: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// What this client is, as the server is told.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    /// Of the SDK.
    pub name: String,
    /// Of the SDK.
    pub version: String,
    /// What it can receive.
    pub codecs: Vec<CodecName>,
}
