//! Every parsed payload descriptor stays within its bytes and its limits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealroute_rtp::dependency_descriptor::DependencyDescriptor;
use sealroute_rtp::descriptor::{
    Av1Descriptor, NalStarts, ObuElements, Vp8Descriptor, Vp9Descriptor, slice_prefix_bytes,
};
use sealroute_rtp::layers_allocation::LayersAllocation;

fuzz_target!(|payload: &[u8]| {
    if let Some(vp8) = Vp8Descriptor::parse(payload) {
        assert!(usize::from(vp8.length) <= payload.len());
        assert!(vp8.picture_id_at < vp8.length && vp8.tl0_at < vp8.length);
    }
    assert!(Vp9Descriptor::parse(payload).is_none_or(|vp9| vp9.length <= payload.len()));
    assert!(slice_prefix_bytes(payload).is_none_or(|length| length <= payload.len()));
    let units = NalStarts::new(payload);
    assert!(units.map(|unit| unit.body.len()).sum::<usize>() <= payload.len());
    let elements = ObuElements::new(payload);
    assert!(elements.map(<[u8]>::len).sum::<usize>() <= payload.len());
    assert_eq!(Av1Descriptor::parse(payload).is_none(), payload.is_empty());
    let dependencies = DependencyDescriptor::parse(payload, None);
    if let Some(structure) = dependencies.and_then(|read| read.structure) {
        assert!(matches!(structure.target_layers().len(), 1..=32));
        // A descriptor that carries a structure must also parse with it.
        assert!(DependencyDescriptor::parse(payload, Some(&structure)).is_some());
        let (head, tail) = payload.split_at(payload.len() / 2);
        let _ = DependencyDescriptor::parse(tail, Some(&structure));
        let _ = DependencyDescriptor::parse(head, Some(&structure));
    }
    let allocation = LayersAllocation::parse(payload);
    let streams = allocation.map_or([[None; 4]; 4], |allocation| allocation.layers);
    let mut layers = streams.iter().flatten().flatten();
    assert!(layers.all(|layer| matches!(layer.temporal_layers, 1..=4)));
});
