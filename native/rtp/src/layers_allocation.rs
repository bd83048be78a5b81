//! The video-layers-allocation00 header extension: the layers that a sender announces.

/// `RtpStream`s, and spatial layers in each, that the format has room for.
const STREAMS: usize = 4;
const SPATIAL_LAYERS: usize = 4;
/// Bytes of a bitrate in kbit/s; five would exceed any link.
const MAX_RATE_BYTES: usize = 4;

/// An active spatial layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AllocatedLayer {
    /// How many temporal layers it has: 1 to 4.
    pub temporal_layers: u8,
    /// Of all its temporal layers together, in kbit/s.
    pub target_kbps: u32,
    /// Frame width and height in pixels.
    pub size: Option<(u16, u16)>,
    /// Upper limit in frames per second.
    pub max_frame_rate: Option<u8>,
}

/// The layers of all streams of an m-line, from one packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayersAllocation {
    /// Index of the stream that carries the packet.
    pub stream: u8,
    /// By stream and spatial layer; `None` = not sent.
    pub layers: [[Option<AllocatedLayer>; SPATIAL_LAYERS]; STREAMS],
}

impl LayersAllocation {
    /// `None`: too short, too long, or an impossible size.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (&head, mut rest) = value.split_first()?;
        let mut allocation = Self {
            stream: head >> 6,
            ..Self::default()
        };
        if value == [0] {
            return Some(allocation);
        }
        let streams = usize::from((head >> 4) & 0x03) + 1;
        let masks = read_masks(head & 0x0F, streams, &mut rest)?;
        for (layers, mask) in allocation.layers.iter_mut().zip(masks).take(streams) {
            for (spatial, layer) in layers.iter_mut().enumerate() {
                *layer = (mask >> spatial & 1 == 1).then(AllocatedLayer::default);
            }
        }
        allocation.read_rates(&mut rest)?;
        allocation.read_sizes(rest)?;
        Some(allocation)
    }

    fn active(&mut self) -> impl Iterator<Item = &mut AllocatedLayer> {
        self.layers.iter_mut().flatten().flatten()
    }

    fn read_rates(&mut self, rest: &mut &[u8]) -> Option<()> {
        let counts = rest.split_off(..self.active().count().div_ceil(4))?;
        for (index, layer) in self.active().enumerate() {
            let shift = 6 - 2 * (index % 4);
            layer.temporal_layers = (counts.get(index / 4)? >> shift & 0x03) + 1;
        }
        for layer in self.active() {
            // Each rate includes those of the temporal layers below.
            for _ in 0..layer.temporal_layers {
                layer.target_kbps = read_rate(rest)?;
            }
        }
        Some(())
    }

    fn read_sizes(&mut self, mut rest: &[u8]) -> Option<()> {
        if rest.is_empty() {
            return Some(());
        }
        for layer in self.active() {
            let (&[w0, w1, h0, h1, rate], behind) = rest.split_first_chunk()?;
            let width = u16::from_be_bytes([w0, w1]).checked_add(1)?;
            let height = u16::from_be_bytes([h0, h1]).checked_add(1)?;
            layer.size = Some((width, height));
            layer.max_frame_rate = Some(rate);
            rest = behind;
        }
        rest.is_empty().then_some(())
    }
}

/// The spatial layers of each stream: one mask for all, or four bits for each.
fn read_masks(shared: u8, streams: usize, rest: &mut &[u8]) -> Option<[u8; STREAMS]> {
    if shared != 0 {
        return Some([shared; STREAMS]);
    }
    let mut masks = [0; STREAMS];
    let bytes = rest.split_off(..streams.div_ceil(2))?;
    for (index, mask) in masks.iter_mut().enumerate().take(streams) {
        *mask = bytes.get(index / 2)? >> (4 - 4 * (index % 2)) & 0x0F;
    }
    Some(masks)
}

fn read_rate(rest: &mut &[u8]) -> Option<u32> {
    let mut rate = 0;
    for index in 0..MAX_RATE_BYTES {
        let byte = *rest.split_off_first()?;
        rate |= u32::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(rate);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stream 1 of 2, one spatial layer each, two temporal layers each.
    const TWO_STREAMS: [u8; 18] = [
        0x51, 0x50, 100, 0x96, 0x01, 0xAC, 0x02, 0xF4, 0x03, 1, 0x3F, 0, 0xB3, 30, 2, 0x7F, 1, 0x67,
    ];

    fn whole() -> Vec<u8> {
        [&TWO_STREAMS[..], &[25]].concat()
    }

    #[test]
    fn each_stream_has_its_rate_size_and_frame_rate() {
        let allocation = LayersAllocation::parse(&whole()).expect("valid");
        assert_eq!(allocation.stream, 1);
        let small = AllocatedLayer {
            temporal_layers: 2,
            target_kbps: 150,
            size: Some((320, 180)),
            max_frame_rate: Some(30),
        };
        let large = AllocatedLayer {
            temporal_layers: 2,
            target_kbps: 500,
            size: Some((640, 360)),
            max_frame_rate: Some(25),
        };
        assert_eq!(allocation.layers[0], [Some(small), None, None, None]);
        assert_eq!(allocation.layers[1], [Some(large), None, None, None]);
        assert_eq!(allocation.layers[2..], [[None; 4]; 2]);
    }

    #[test]
    fn every_truncation_is_refused_but_the_one_without_sizes() {
        let whole = whole();
        for length in 0..whole.len() {
            let parsed = LayersAllocation::parse(&whole[..length]);
            assert_eq!(parsed.is_some(), length == 9, "{length}");
        }
    }

    #[test]
    fn streams_with_masks_of_their_own_may_have_none() {
        // Three streams: spatial layers 0 and 1, none, 0.
        let value = [0x20, 0x30, 0x10, 0x00, 10, 20, 30];
        let allocation = LayersAllocation::parse(&value).expect("valid");
        let rates = allocation
            .layers
            .map(|layers| layers.map(|layer| layer.map(|layer| layer.target_kbps)));
        assert_eq!(rates[0], [Some(10), Some(20), None, None]);
        assert_eq!(rates[1], [None; 4]);
        assert_eq!(rates[2], [Some(30), None, None, None]);
    }

    #[test]
    fn a_single_zero_says_that_nothing_is_sent() {
        assert_eq!(
            LayersAllocation::parse(&[0]),
            Some(LayersAllocation::default())
        );
    }

    #[test]
    fn a_rate_without_end_and_a_size_beyond_16_bits_are_refused() {
        assert_eq!(
            LayersAllocation::parse(&[1, 0, 0xFF, 0xFF, 0xFF, 0xFF, 1]),
            None
        );
        assert_eq!(
            LayersAllocation::parse(&[1, 0, 9, 0xFF, 0xFF, 0, 1, 30]),
            None
        );
    }
}
