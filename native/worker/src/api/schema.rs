//! Input of the generator of `sfu/core_api.py`.

use schemars::schema_for;
use serde_json::{Value, json};

use super::{Command, Event, Snapshot, WorkerSettings};
use crate::network_counters::{counter_infos, drop_reasons};

/// The seam as JSON: a JSON Schema for each of its four parts, and the tables of totals.
pub fn schema() -> Value {
    json!({
        "commands": schema_for!(Command),
        "events": schema_for!(Event),
        "settings": schema_for!(WorkerSettings),
        "snapshot": schema_for!(Snapshot),
        "counters": counter_infos().collect::<Vec<_>>(),
        "drop_reasons": drop_reasons().collect::<Vec<_>>(),
    })
}
