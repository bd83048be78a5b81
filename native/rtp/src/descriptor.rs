//! Payload descriptors: the packetizer's bytes before or around the frame's bytes.
//!
//! They are outside an end-to-end encrypted frame, so every session may read them.

use crate::bits::BitReader;

/// VP8 payload descriptor (RFC 7741 section 4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vp8Descriptor {
    /// First packet of a frame's first partition.
    pub frame_start: bool,
    /// Its value, and whether it has 15 bits.
    pub picture_id: Option<(u16, bool)>,
    /// TL0PICIDX.
    pub tl0_picture_index: Option<u8>,
    /// Temporal layer.
    pub temporal_layer: Option<u8>,
    /// It depends on the lowest temporal layer alone.
    pub layer_sync: bool,
    /// Bytes before the frame's bytes.
    pub length: u8,
    /// The position of the picture id, for rewriting.
    pub picture_id_at: u8,
    /// The position of TL0PICIDX.
    pub tl0_at: u8,
}

impl Vp8Descriptor {
    /// `None`: too short.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let &first = payload.first()?;
        let mut descriptor = Self {
            frame_start: first & 0x17 == 0x10,
            length: 1,
            ..Self::default()
        };
        if first & 0x80 == 0 {
            return Some(descriptor);
        }
        let flags = *payload.get(1)?;
        let mut at = 2;
        if flags & 0x80 != 0 {
            let high = *payload.get(at)?;
            descriptor.picture_id_at = at as u8;
            if high & 0x80 == 0 {
                descriptor.picture_id = Some((u16::from(high), false));
                at += 1;
            } else {
                let low = *payload.get(at + 1)?;
                descriptor.picture_id = Some((u16::from_be_bytes([high & 0x7F, low]), true));
                at += 2;
            }
        }
        if flags & 0x40 != 0 {
            descriptor.tl0_picture_index = Some(*payload.get(at)?);
            descriptor.tl0_at = at as u8;
            at += 1;
        }
        if flags & 0x30 != 0 {
            let byte = *payload.get(at)?;
            descriptor.temporal_layer = (flags & 0x20 != 0).then_some(byte >> 6);
            descriptor.layer_sync = byte & 0x20 != 0;
            at += 1;
        }
        descriptor.length = at as u8;
        (payload.len() >= at).then_some(descriptor)
    }
}

/// VP9 payload descriptor (RFC 9628 section 4.2).
#[expect(clippy::struct_excessive_bools, reason = "flags of the wire")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vp9Descriptor {
    /// First packet of a layer frame.
    pub frame_start: bool,
    /// Last packet of a layer frame.
    pub frame_end: bool,
    /// Predicted from an earlier picture.
    pub inter_picture: bool,
    /// Spatial layer.
    pub spatial_layer: u8,
    /// Temporal layer.
    pub temporal_layer: u8,
    /// No later picture depends on an earlier one of a higher temporal layer.
    pub switching_up_point: bool,
    /// Frame width and height of the highest spatial layer, if the scalability structure contains
    /// them.
    pub size: Option<(u16, u16)>,
    /// Bytes before the frame's bytes.
    pub length: usize,
}

impl Vp9Descriptor {
    /// `None`: too short.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let &flags = payload.first()?;
        let mut at = 1;
        let mut take = || {
            let byte = payload.get(at).copied();
            at += 1;
            byte
        };
        let mut descriptor = Self {
            frame_start: flags & 0x08 != 0,
            frame_end: flags & 0x04 != 0,
            inter_picture: flags & 0x40 != 0,
            ..Self::default()
        };
        let flexible = flags & 0x10 != 0;
        if flags & 0x80 != 0 && take()? & 0x80 != 0 {
            take()?;
        }
        if flags & 0x20 != 0 {
            let layers = take()?;
            descriptor.temporal_layer = layers >> 5;
            descriptor.spatial_layer = (layers >> 1) & 0x07;
            descriptor.switching_up_point = layers & 0x10 != 0;
            if !flexible {
                take()?;
            }
        }
        if flexible && flags & 0x40 != 0 {
            // At most three reference indices; the lowest bit means that another follows.
            for _ in 0..3 {
                if take()? & 1 == 0 {
                    break;
                }
            }
        }
        if flags & 0x02 != 0 {
            read_scalability_structure(&mut take, &mut descriptor.size)?;
        }
        descriptor.length = at;
        (payload.len() >= at).then_some(descriptor)
    }
}

/// Parses the size of the highest spatial layer, if present; the group description is skipped.
fn read_scalability_structure(
    take: &mut impl FnMut() -> Option<u8>,
    size: &mut Option<(u16, u16)>,
) -> Option<()> {
    let head = take()?;
    if head & 0x10 != 0 {
        for _ in 0..=head >> 5 {
            let width = u16::from_be_bytes([take()?, take()?]);
            *size = Some((width, u16::from_be_bytes([take()?, take()?])));
        }
    }
    if head & 0x08 != 0 {
        for _ in 0..take()? {
            for _ in 0..(take()? >> 2) & 0x03 {
                take()?;
            }
        }
    }
    Some(())
}

/// What a VP9 layer frame is predicted from (RFC 9628 section 4.2), for receivers that decode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vp9Prediction {
    /// The picture's number of 7 or 15 bits, and whether it has 15.
    pub picture_id: Option<(u16, bool)>,
    /// TL0PICIDX, in the non-flexible mode alone.
    pub tl0_picture_index: Option<u8>,
    /// How many pictures ago each reference was, in the flexible mode alone; 0 = none.
    pub references: [u8; 3],
    /// The references are listed.
    pub flexible: bool,
    /// Predicted from the spatial layer below.
    pub inter_layer: bool,
}

impl Vp9Prediction {
    /// `None`: too short.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (&flags, mut rest) = payload.split_first()?;
        let mut take = || {
            let (&byte, following) = rest.split_first()?;
            rest = following;
            Some(byte)
        };
        let mut prediction = Self {
            flexible: flags & 0x10 != 0,
            ..Self::default()
        };
        if flags & 0x80 != 0 {
            let high = take()?;
            prediction.picture_id = Some(if high & 0x80 == 0 {
                (u16::from(high), false)
            } else {
                (u16::from_be_bytes([high & 0x7F, take()?]), true)
            });
        }
        if flags & 0x20 != 0 {
            prediction.inter_layer = take()? & 1 != 0;
            if !prediction.flexible {
                prediction.tl0_picture_index = Some(take()?);
            }
        }
        if prediction.flexible && flags & 0x40 != 0 {
            for reference in &mut prediction.references {
                let byte = take()?;
                *reference = byte >> 1;
                if byte & 1 == 0 {
                    break;
                }
            }
        }
        Some(prediction)
    }
}

/// One NAL unit, or its beginning, in an H.264 payload (RFC 6184, packetization-mode 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NalStart<'a> {
    /// `nal_unit_type`, 1 to 23.
    pub unit_type: u8,
    /// The bytes after the NAL header in this packet.
    pub body: &'a [u8],
}

/// The NAL units that start in a payload: one, those of a STAP-A, or the first part of a FU-A.
#[derive(Clone, Debug)]
pub struct NalStarts<'a> {
    rest: &'a [u8],
    aggregated: bool,
}

impl<'a> NalStarts<'a> {
    /// Any payload; a continuation yields nothing.
    pub fn new(payload: &'a [u8]) -> Self {
        match payload.first().map(|first| first & 0x1F) {
            Some(24) => Self {
                rest: &payload[1..],
                aggregated: true,
            },
            Some(1..=23 | 28) => Self {
                rest: payload,
                aggregated: false,
            },
            _ => Self {
                rest: &[],
                aggregated: false,
            },
        }
    }
}

impl<'a> Iterator for NalStarts<'a> {
    type Item = NalStart<'a>;

    fn next(&mut self) -> Option<NalStart<'a>> {
        if self.aggregated {
            let &[l0, l1, ..] = self.rest else {
                return None;
            };
            let length = usize::from(u16::from_be_bytes([l0, l1]));
            // Routing sees only the start of a payload: the last unit may be truncated.
            let (unit, rest) = self.rest[2..].split_at(length.min(self.rest.len() - 2));
            self.rest = rest;
            let (&head, body) = unit.split_first()?;
            return Some(NalStart {
                unit_type: head & 0x1F,
                body,
            });
        }
        let payload = std::mem::take(&mut self.rest);
        match *payload {
            [indicator, header, ..] if indicator & 0x1F == 28 => {
                (header & 0x80 != 0).then(|| NalStart {
                    unit_type: header & 0x1F,
                    body: &payload[2..],
                })
            }
            [head, ..] => Some(NalStart {
                unit_type: head & 0x1F,
                body: &payload[1..],
            }),
            [] => None,
        }
    }
}

/// The position of the byte-aligned rest of a slice header, after `first_mb_in_slice`, `slice_type`
/// and `pic_parameter_set_id` (ITU-T H.264 7.3.3).
pub fn slice_prefix_bytes(body: &[u8]) -> Option<usize> {
    let mut bits = BitReader::new(body);
    for _ in 0..3 {
        bits.exp_golomb()?;
    }
    Some(bits.next_byte())
}

/// AV1 aggregation header (AV1 RTP specification section 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Av1Descriptor {
    /// The first element continues an OBU of the previous packet.
    pub continues: bool,
    /// The number of elements, 0 = each has a length.
    pub elements: u8,
    /// The first packet of a coded video sequence: a key frame.
    pub new_sequence: bool,
}

impl Av1Descriptor {
    /// `None`: empty payload.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let &head = payload.first()?;
        Some(Self {
            continues: head & 0x80 != 0,
            elements: (head >> 4) & 0x03,
            new_sequence: head & 0x08 != 0,
        })
    }
}

/// The OBU elements of an AV1 payload.
#[derive(Clone, Debug)]
pub struct ObuElements<'a> {
    rest: &'a [u8],
    left: Option<u8>,
}

impl<'a> ObuElements<'a> {
    /// Any payload.
    pub fn new(payload: &'a [u8]) -> Self {
        let elements = Av1Descriptor::parse(payload).map_or(0, |descriptor| descriptor.elements);
        Self {
            rest: payload.get(1..).unwrap_or_default(),
            left: (elements != 0).then_some(elements),
        }
    }
}

impl<'a> Iterator for ObuElements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() || self.left == Some(0) {
            return None;
        }
        if self.left == Some(1) {
            self.left = Some(0);
            return Some(std::mem::take(&mut self.rest));
        }
        self.left = self.left.map(|left| left - 1);
        let (length, used) = leb128(self.rest)?;
        let following = self.rest.get(used..)?;
        // Routing sees only the start of a payload: the last element may be truncated.
        let (element, rest) = following.split_at(length.min(following.len()));
        self.rest = rest;
        Some(element)
    }
}

/// An unsigned LEB128 value of up to four bytes, and its length in bytes.
fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_usize;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}
