//! Everything a session's forwarding knows, for `dump()` (operators, tests, support).

use serde_json::{Value, json};

use crate::counters::ForwardCounters;
use crate::layer_filter::Level;
use crate::layers::Allocation;
use crate::sink::Sink;
use crate::source::{Encoding, Source};

pub(crate) fn source(source: &Source) -> Value {
    json!({
        "publisher": source.publisher.0,
        "transport": source.transport.0,
        "mid": source.parameters.mid,
        "kind": format!("{:?}", source.parameters.kind).to_lowercase(),
        "codec": format!("{:?}", source.parameters.codec).to_lowercase(),
        "forwarding": source.forwarding,
        "packets": source.taken,
        "encodings": source
            .encodings
            .iter()
            .enumerate()
            .map(|(index, stream)| encoding(stream, source.demands(index)))
            .collect::<Vec<_>>(),
    })
}

fn encoding(encoding: &Encoding, wanted: bool) -> Value {
    let view = encoding.view();
    json!({
        "ssrc": encoding.parameters.ssrc,
        "rid": encoding.parameters.rid,
        "active": encoding.active,
        "wanted": wanted,
        "packets": encoding.reception.received(),
        "bitrate_bps": view.bitrate_bps as u64,
        "size": view.size,
        "frame_rate": view.frame_rate,
        "layers": level(encoding.layers.top()),
    })
}

/// Spatial and temporal layer.
fn level(level: Level) -> Value {
    json!([level.spatial, level.temporal])
}

pub(crate) fn sink(sink: &Sink) -> Value {
    json!({
        "subscriber": sink.subscriber.0,
        "publisher": sink.publisher.0,
        "transport": sink.transport.0,
        "mid": sink.parameters.mid,
        "ssrc": sink.parameters.ssrc,
        "kind": format!("{:?}", sink.kind).to_lowercase(),
        "forwarding": sink.forwarding,
        "encoding": sink.current,
        "level": level(sink.filter.level()),
        "limit": match sink.allocation {
            Allocation::Unlimited => Value::Null,
            Allocation::UpTo(layer) => layer.encoding.into(),
            Allocation::Paused => "paused".into(),
        },
        "supply": sink.supply.name(),
        "waiting": sink.waiting.map(crate::DropReason::name),
        "packets": sink.packets,
        "bytes": sink.bytes,
        "resent": sink.resent,
        "fraction_lost": sink.fraction_lost,
        "round_trip_ms": sink.round_trip.map(|time| time.as_millis() as u64),
    })
}

pub(crate) fn counters(counters: &ForwardCounters) -> Value {
    counters
        .iter()
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect()
}
