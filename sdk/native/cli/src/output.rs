//! One JSON object a line.

use std::io::Write;

use sealroute_client::{Event, SessionError};
use serde_json::{Map, Value, json};

/// Who reads may be gone.
pub(crate) fn line(event: &str, members: Value) {
    let mut object = Map::new();
    object.insert("event".into(), event.into());
    if let Value::Object(members) = members {
        object.extend(members);
    }
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", Value::Object(object)).and_then(|()| out.flush());
}

pub(crate) fn error(code: &str, number: u64, message: &str) {
    line(
        "error",
        json!({ "code": code, "number": number, "message": message }),
    );
}

pub(crate) fn failure(failure: &SessionError) {
    error(failure.code(), failure.number(), &failure.to_string());
}

/// What an event says, beside its name.
pub(crate) fn event(event: &Event) {
    let members = match event {
        Event::Error(error)
        | Event::Failed(error)
        | Event::PublicationError { error, .. }
        | Event::SubscriptionError { error, .. } => {
            failure(error);
            return;
        }
        Event::Disconnected { reason } => json!({ "reason": reason }),
        Event::ConnectionCreated(connection) => {
            json!({ "connectionId": connection.connection_id })
        }
        Event::ConnectionDestroyed { connection_id } => {
            json!({ "connectionId": connection_id })
        }
        Event::StreamReceived(stream) => {
            json!({ "streamId": stream.stream_id, "connectionId": stream.connection_id })
        }
        Event::StreamChanged(stream) => json!({ "streamId": stream.stream_id }),
        Event::StreamDropped { stream_id } | Event::Published { stream_id, .. } => {
            json!({ "streamId": stream_id })
        }
        Event::Signal {
            from,
            kind,
            data,
            is_encrypted,
        } => json!({
            "connectionId": from, "type": kind, "data": data, "encrypted": is_encrypted,
        }),
        Event::PublicationTrust { state, .. } | Event::SubscriptionTrust { state, .. } => {
            json!({ "state": format!("{state:?}").to_lowercase() })
        }
        _ => json!({}),
    };
    line(event.name(), members);
}
