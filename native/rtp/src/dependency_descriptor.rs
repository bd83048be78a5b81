//! The dependency descriptor (AV1 RTP specification 1.0, appendix A): which layer a frame belongs
//! to and who needs it, outside the payload.
//!
//! A structure comes with key frames and says what the templates mean that later frames name.
//! Reading a frame allocates nothing; a structure is allocated once.

use crate::bits::BitReader;

const TEMPLATE_IDS: u8 = 64;
const MAX_SPATIAL: u8 = 3;
const MAX_TEMPORAL: u8 = 7;
/// Longer ones have extended fields.
const MANDATORY_BYTES: usize = 3;

/// The role of a frame in a decode target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indication {
    /// Not part of it.
    NotPresent,
    /// No later frame of the target needs it.
    Discardable,
    /// Decoding of the target may start here, for a receiver of the same frames below.
    Switch,
    /// Later frames of the target need it.
    Required,
}

/// Two bits for each decode target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Indications(u64);

impl Indications {
    fn read(bits: &mut BitReader<'_>, targets: u8) -> Option<Self> {
        let mut all = 0;
        for target in 0..targets {
            all |= u64::from(bits.take(2)?) << (2 * target);
        }
        Some(Self(all))
    }

    /// Of one decode target; those beyond the structure's are not present.
    pub fn of(self, target: u8) -> Indication {
        match self.0.checked_shr(2 * u32::from(target)).unwrap_or(0) & 0x03 {
            0 => Indication::NotPresent,
            1 => Indication::Discardable,
            2 => Indication::Switch,
            _ => Indication::Required,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Template {
    spatial: u8,
    temporal: u8,
    indications: Indications,
}

/// The template dependency structure of an encoding, valid until the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    id_offset: u8,
    targets: u8,
    chains: u8,
    templates: Vec<Template>,
    target_layers: Vec<(u8, u8)>,
    resolutions: Vec<(u16, u16)>,
}

impl Structure {
    /// Whether it has frames of several layers.
    pub fn is_layered(&self) -> bool {
        self.templates
            .iter()
            .any(|template| (template.spatial, template.temporal) != (0, 0))
    }

    /// The highest spatial and temporal layer of each decode target.
    pub fn target_layers(&self) -> &[(u8, u8)] {
        &self.target_layers
    }

    /// Frame width and height of a spatial layer, if the structure contains them.
    pub fn resolution(&self, spatial: u8) -> Option<(u16, u16)> {
        self.resolutions.get(usize::from(spatial)).copied()
    }

    fn read(bits: &mut BitReader<'_>) -> Option<Self> {
        let id_offset = bits.take(6)? as u8;
        let targets = bits.take(5)? as u8 + 1;
        let mut templates = read_layers(bits)?;
        for template in &mut templates {
            template.indications = Indications::read(bits, targets)?;
        }
        for _ in &templates {
            while bits.take(1)? == 1 {
                bits.take(4)?;
            }
        }
        let chains = read_chains(bits, targets, templates.len())?;
        let mut resolutions = Vec::new();
        if bits.take(1)? == 1 {
            for _ in 0..=templates.last()?.spatial {
                resolutions.push((read_length(bits)?, read_length(bits)?));
            }
        }
        Some(Self {
            id_offset,
            targets,
            chains,
            target_layers: (0..targets).map(|of| highest(&templates, of)).collect(),
            templates,
            resolutions,
        })
    }

    fn template(&self, id: u8) -> Option<&Template> {
        let index = (id + TEMPLATE_IDS - self.id_offset) % TEMPLATE_IDS;
        self.templates.get(usize::from(index))
    }
}

/// A width or height in pixels; larger values saturate at 16 bits.
fn read_length(bits: &mut BitReader<'_>) -> Option<u16> {
    Some((bits.take(16)? as u16).saturating_add(1))
}

fn highest(templates: &[Template], target: u8) -> (u8, u8) {
    templates
        .iter()
        .filter(|template| template.indications.of(target) != Indication::NotPresent)
        .fold((0, 0), |(spatial, temporal), template| {
            (
                spatial.max(template.spatial),
                temporal.max(template.temporal),
            )
        })
}

fn read_layers(bits: &mut BitReader<'_>) -> Option<Vec<Template>> {
    let mut templates = Vec::new();
    let (mut spatial, mut temporal) = (0, 0);
    while templates.len() < usize::from(TEMPLATE_IDS) {
        templates.push(Template {
            spatial,
            temporal,
            indications: Indications::default(),
        });
        match bits.take(2)? {
            0 => {}
            1 if temporal < MAX_TEMPORAL => temporal += 1,
            2 if spatial < MAX_SPATIAL => (spatial, temporal) = (spatial + 1, 0),
            3 => return Some(templates),
            _ => return None,
        }
    }
    None
}

/// Parses the number of chains; which frames they link matters only to receivers.
fn read_chains(bits: &mut BitReader<'_>, targets: u8, templates: usize) -> Option<u8> {
    let chains = below(bits, u32::from(targets) + 1)?;
    if chains > 0 {
        for _ in 0..targets {
            below(bits, chains)?;
        }
        for _ in 0..templates * chains as usize {
            bits.take(4)?;
        }
    }
    Some(chains as u8)
}

/// A number below `count`, in as few bits as it needs (`ns(n)` of the specification).
fn below(bits: &mut BitReader<'_>, count: u32) -> Option<u32> {
    let width = u32::BITS - count.leading_zeros();
    let short = (1 << width) - count;
    let value = bits.take(width as usize - 1)?;
    if value < short {
        return Some(value);
    }
    Some((value << 1) - short + bits.take(1)?)
}

/// One packet's descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameDescriptor {
    /// First packet of the frame.
    pub start: bool,
    /// Last packet of the frame.
    pub end: bool,
    /// The frame number within its encoding.
    pub number: u16,
    /// Spatial layer.
    pub spatial: u8,
    /// Temporal layer.
    pub temporal: u8,
    /// Its role in each decode target.
    pub indications: Indications,
    /// Decode targets that are sent from this frame on, one bit each, if the packet contains them.
    pub active_targets: Option<u32>,
}

/// A descriptor, and the structure that it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DependencyDescriptor {
    /// Of this packet.
    pub frame: FrameDescriptor,
    /// Replaces the encoding's structure from this frame on.
    pub structure: Option<Structure>,
}

#[derive(Clone, Copy, Default)]
struct Customs {
    indications: bool,
    differences: bool,
    chains: bool,
}

impl DependencyDescriptor {
    /// Parses a descriptor with the encoding's current structure. `None`: malformed, or it names a
    /// template that the structure lacks, as after the loss of a structure.
    pub fn parse(value: &[u8], known: Option<&Structure>) -> Option<Self> {
        let mut bits = BitReader::new(value);
        let start = bits.take(1)? == 1;
        let end = bits.take(1)? == 1;
        let template_id = bits.take(6)? as u8;
        let number = bits.take(16)? as u16;
        let mut customs = Customs::default();
        let mut own = None;
        let mut active_targets = None;
        if value.len() > MANDATORY_BYTES {
            let has_structure = bits.take(1)? == 1;
            let has_active = bits.take(1)? == 1;
            customs.indications = bits.take(1)? == 1;
            customs.differences = bits.take(1)? == 1;
            customs.chains = bits.take(1)? == 1;
            if has_structure {
                own = Some(Structure::read(&mut bits)?);
            }
            let targets = own.as_ref().or(known)?.targets;
            if has_active {
                active_targets = Some(bits.take(targets.into())?);
            } else if has_structure {
                active_targets = Some(u32::MAX >> (32 - targets));
            }
        }
        let structure = own.as_ref().or(known)?;
        let template = structure.template(template_id)?;
        let indications = read_customs(&mut bits, customs, structure, template.indications)?;
        let frame = FrameDescriptor {
            start,
            end,
            number,
            spatial: template.spatial,
            temporal: template.temporal,
            indications,
            active_targets,
        };
        Some(Self {
            frame,
            structure: own,
        })
    }
}

/// The frame's own indications, else those of its template; the rest is checked and skipped.
fn read_customs(
    bits: &mut BitReader<'_>,
    customs: Customs,
    structure: &Structure,
    of_template: Indications,
) -> Option<Indications> {
    let mut indications = of_template;
    if customs.indications {
        indications = Indications::read(bits, structure.targets)?;
    }
    if customs.differences {
        loop {
            let size = bits.take(2)? as usize;
            if size == 0 {
                break;
            }
            bits.take(4 * size)?;
        }
    }
    if customs.chains {
        for _ in 0..structure.chains {
            bits.take(8)?;
        }
    }
    Some(indications)
}
