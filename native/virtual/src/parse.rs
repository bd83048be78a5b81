//! Header extensions as parsed by the core, for comparison with other implementations.

use sealroute_rtp::dependency_descriptor::{
    DependencyDescriptor, Indication, Indications, Structure,
};
use sealroute_rtp::layers_allocation::{AllocatedLayer, LayersAllocation};
use serde_json::{Value, json};

/// Keeps the most recent dependency structure.
#[derive(Default)]
pub struct Parsers {
    structure: Option<Structure>,
}

impl Parsers {
    /// Returns `null` for an invalid value. An empty value discards the structure.
    pub fn dependency_descriptor(&mut self, value: &[u8]) -> Value {
        if value.is_empty() {
            self.structure = None;
            return Value::Null;
        }
        let Some(found) = DependencyDescriptor::parse(value, self.structure.as_ref()) else {
            return Value::Null;
        };
        let is_new = found.structure.is_some();
        self.structure = found.structure.or(self.structure.take());
        let Some(structure) = &self.structure else {
            return Value::Null;
        };
        let targets = structure.target_layers();
        let frame = found.frame;
        json!({
            "start": frame.start,
            "end": frame.end,
            "number": frame.number,
            "layer": [frame.spatial, frame.temporal],
            "indications": letters(frame.indications, targets.len()),
            "active": frame.active_targets,
            "structure": is_new.then(|| json!({
                "targets": targets,
                "resolutions": (0..4).map_while(|of| structure.resolution(of)).collect::<Vec<_>>(),
            })),
        })
    }
}

fn letters(indications: Indications, targets: usize) -> String {
    (0..targets as u8)
        .map(|target| match indications.of(target) {
            Indication::NotPresent => '-',
            Indication::Discardable => 'D',
            Indication::Switch => 'S',
            Indication::Required => 'R',
        })
        .collect()
}

/// Returns `null` for an invalid value.
pub fn layers_allocation(value: &[u8]) -> Value {
    LayersAllocation::parse(value).map_or(Value::Null, |found| {
        let streams: Vec<Vec<Value>> = found
            .layers
            .iter()
            .map(|stream| stream.iter().map(|one| layer(one.as_ref())).collect())
            .collect();
        json!({"stream": found.stream, "layers": streams})
    })
}

fn layer(layer: Option<&AllocatedLayer>) -> Value {
    layer.map_or(Value::Null, |layer| {
        json!([
            layer.temporal_layers,
            layer.target_kbps,
            layer.size,
            layer.max_frame_rate
        ])
    })
}
