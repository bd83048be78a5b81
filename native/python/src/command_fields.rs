//! The commands of `sfu.commands`, read by attribute and checked.

use pyo3::FromPyObject;
use pyo3::prelude::*;
use sealroute_forward::{LayerWish, PublisherHandle, SubscriberHandle, TransportHandle};
use sealroute_transport::SrtpProfile;
use sealroute_worker::{Command, RouterHandle, Secret, SrtpSecrets};

use crate::extraction::{kids, mid, named, require};
use crate::parameters::{SinkFields, SourceFields};

/// Fields of one command, on their way to being a `Command`.
pub(crate) trait CommandFields {
    fn into_command(self) -> PyResult<Command>;
}

#[derive(FromPyObject)]
pub(crate) struct OpenRouter {
    router: u64,
    access: String,
}

impl CommandFields for OpenRouter {
    fn into_command(self) -> PyResult<Command> {
        Ok(Command::OpenRouter {
            router: RouterHandle(self.router),
            access: named(&self.access)?,
        })
    }
}

#[derive(FromPyObject)]
pub(crate) struct CloseRouter {
    router: u64,
}

impl CommandFields for CloseRouter {
    fn into_command(self) -> PyResult<Command> {
        Ok(Command::CloseRouter {
            router: RouterHandle(self.router),
        })
    }
}

#[derive(FromPyObject)]
pub(crate) struct OpenTransport {
    router: u64,
    transport: u64,
    direction: String,
    local_ufrag: String,
    local_pwd: String,
}

/// RFC 8839 section 5.4: ice-char, 4 to 256 and 22 to 256 of them.
fn require_ice_credentials(ufrag: &str, pwd: &str) -> PyResult<()> {
    let ice_chars = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
    };
    let ufrag = ice_chars(ufrag) && (4..=256).contains(&ufrag.len());
    let pwd = ice_chars(pwd) && (22..=256).contains(&pwd.len());
    require(ufrag && pwd, "ICE credentials are malformed")
}

impl CommandFields for OpenTransport {
    fn into_command(self) -> PyResult<Command> {
        require_ice_credentials(&self.local_ufrag, &self.local_pwd)?;
        Ok(Command::OpenTransport {
            router: RouterHandle(self.router),
            transport: TransportHandle(self.transport),
            direction: named(&self.direction)?,
            local_ufrag: self.local_ufrag,
            local_pwd: Secret(self.local_pwd),
        })
    }
}

#[derive(FromPyObject)]
pub(crate) struct RestartIce {
    transport: u64,
    local_ufrag: String,
    local_pwd: String,
}

impl CommandFields for RestartIce {
    fn into_command(self) -> PyResult<Command> {
        require_ice_credentials(&self.local_ufrag, &self.local_pwd)?;
        Ok(Command::RestartIce {
            transport: TransportHandle(self.transport),
            local_ufrag: self.local_ufrag,
            local_pwd: Secret(self.local_pwd),
        })
    }
}

#[derive(FromPyObject)]
pub(crate) struct SetPeerCredentials {
    transport: u64,
    ufrag: String,
    pwd: String,
}

impl CommandFields for SetPeerCredentials {
    fn into_command(self) -> PyResult<Command> {
        // Which characters a peer takes for its own is not for us to say: they are only repeated.
        let fit = (4..=256).contains(&self.ufrag.len()) && (22..=256).contains(&self.pwd.len());
        require(fit, "ICE credentials are malformed")?;
        Ok(Command::SetPeerCredentials {
            transport: TransportHandle(self.transport),
            ufrag: self.ufrag,
            pwd: Secret(self.pwd),
        })
    }
}

#[derive(FromPyObject)]
pub(crate) struct SetSrtpKeys {
    transport: u64,
    profile: String,
    receive_key: Vec<u8>,
    receive_salt: Vec<u8>,
    send_key: Vec<u8>,
    send_salt: Vec<u8>,
}

impl CommandFields for SetSrtpKeys {
    fn into_command(self) -> PyResult<Command> {
        let profile: SrtpProfile = named(&self.profile)?;
        let keys = [&self.receive_key, &self.send_key];
        require(
            keys.iter().all(|key| key.len() == profile.key_bytes()),
            "key size",
        )?;
        let salts = [&self.receive_salt, &self.send_salt];
        require(
            salts.iter().all(|salt| salt.len() == profile.salt_bytes()),
            "salt size",
        )?;
        let secrets = SrtpSecrets {
            profile,
            receive_key: Secret(self.receive_key),
            receive_salt: Secret(self.receive_salt),
            send_key: Secret(self.send_key),
            send_salt: Secret(self.send_salt),
        };
        Ok(Command::SetSrtpKeys {
            transport: TransportHandle(self.transport),
            secrets: Box::new(secrets),
        })
    }
}

#[derive(FromPyObject)]
pub(crate) struct SendDtls {
    transport: u64,
    datagram: Vec<u8>,
}

impl CommandFields for SendDtls {
    fn into_command(self) -> PyResult<Command> {
        require((1..=1_500).contains(&self.datagram.len()), "datagram size")?;
        Ok(Command::SendDtls {
            transport: TransportHandle(self.transport),
            datagram: self.datagram,
        })
    }
}

#[derive(FromPyObject)]
pub(crate) struct CloseTransport {
    transport: u64,
}

impl CommandFields for CloseTransport {
    fn into_command(self) -> PyResult<Command> {
        Ok(Command::CloseTransport {
            transport: TransportHandle(self.transport),
        })
    }
}

#[derive(FromPyObject)]
pub(crate) struct Publish {
    router: u64,
    publisher: u64,
    transport: u64,
    sources: Vec<SourceFields>,
}

impl CommandFields for Publish {
    fn into_command(self) -> PyResult<Command> {
        require(!self.sources.is_empty(), "a publisher needs a source")?;
        let sources = self.sources.into_iter().map(SourceFields::into_parameters);
        Ok(Command::Publish {
            router: RouterHandle(self.router),
            publisher: PublisherHandle(self.publisher),
            transport: TransportHandle(self.transport),
            sources: sources.collect::<PyResult<_>>()?,
        })
    }
}

#[derive(FromPyObject)]
pub(crate) struct DeclareKids {
    publisher: u64,
    mid: String,
    kids: Vec<Vec<u8>>,
}

impl CommandFields for DeclareKids {
    fn into_command(self) -> PyResult<Command> {
        Ok(Command::DeclareKids {
            publisher: PublisherHandle(self.publisher),
            mid: mid(self.mid)?,
            kids: kids(self.kids)?,
        })
    }
}

#[derive(FromPyObject)]
pub(crate) struct SetSourceForwarding {
    publisher: u64,
    mid: String,
    forwarding: bool,
}

impl CommandFields for SetSourceForwarding {
    fn into_command(self) -> PyResult<Command> {
        Ok(Command::SetSourceForwarding {
            publisher: PublisherHandle(self.publisher),
            mid: mid(self.mid)?,
            forwarding: self.forwarding,
        })
    }
}

#[derive(FromPyObject)]
pub(crate) struct RequestKeyFrame {
    publisher: u64,
}

impl CommandFields for RequestKeyFrame {
    fn into_command(self) -> PyResult<Command> {
        Ok(Command::RequestKeyFrame {
            publisher: PublisherHandle(self.publisher),
        })
    }
}

#[derive(FromPyObject)]
pub(crate) struct Unpublish {
    publisher: u64,
}

impl CommandFields for Unpublish {
    fn into_command(self) -> PyResult<Command> {
        Ok(Command::Unpublish {
            publisher: PublisherHandle(self.publisher),
        })
    }
}

#[derive(FromPyObject)]
pub(crate) struct Subscribe {
    router: u64,
    subscriber: u64,
    publisher: u64,
    transport: u64,
    sinks: Vec<SinkFields>,
}

impl CommandFields for Subscribe {
    fn into_command(self) -> PyResult<Command> {
        require(!self.sinks.is_empty(), "a subscriber needs a sink")?;
        Ok(Command::Subscribe {
            router: RouterHandle(self.router),
            subscriber: SubscriberHandle(self.subscriber),
            publisher: PublisherHandle(self.publisher),
            transport: TransportHandle(self.transport),
            sinks: self
                .sinks
                .into_iter()
                .map(SinkFields::into_parameters)
                .collect::<PyResult<_>>()?,
        })
    }
}

#[derive(FromPyObject)]
pub(crate) struct SetSinkForwarding {
    subscriber: u64,
    kind: String,
    forwarding: bool,
}

impl CommandFields for SetSinkForwarding {
    fn into_command(self) -> PyResult<Command> {
        Ok(Command::SetSinkForwarding {
            subscriber: SubscriberHandle(self.subscriber),
            kind: named(&self.kind)?,
            forwarding: self.forwarding,
        })
    }
}

#[derive(FromPyObject)]
pub(crate) struct SetLayerWish {
    subscriber: u64,
    max_width_px: Option<u32>,
    max_height_px: Option<u32>,
    max_frame_rate: Option<f32>,
}

impl CommandFields for SetLayerWish {
    fn into_command(self) -> PyResult<Command> {
        let is_rate = |rate: f32| rate.is_finite() && rate >= 0.0;
        require(
            self.max_frame_rate.is_none_or(is_rate),
            "frame rate is out of range",
        )?;
        let wish = LayerWish {
            max_width_px: self.max_width_px,
            max_height_px: self.max_height_px,
            max_frame_rate: self.max_frame_rate,
        };
        Ok(Command::SetLayerWish {
            subscriber: SubscriberHandle(self.subscriber),
            wish,
        })
    }
}

#[derive(FromPyObject)]
pub(crate) struct Unsubscribe {
    subscriber: u64,
}

impl CommandFields for Unsubscribe {
    fn into_command(self) -> PyResult<Command> {
        Ok(Command::Unsubscribe {
            subscriber: SubscriberHandle(self.subscriber),
        })
    }
}
