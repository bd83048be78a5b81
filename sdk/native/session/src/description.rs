//! As much of a session description (RFC 8866, RFC 8829) as the rules look at.

use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Direction {
    SendOnly,
    ReceiveOnly,
    Inactive,
    /// What an m-line without a word of it does.
    #[default]
    SendReceive,
}

const DIRECTIONS: [(&str, Direction); 4] = [
    ("sendonly", Direction::SendOnly),
    ("recvonly", Direction::ReceiveOnly),
    ("inactive", Direction::Inactive),
    ("sendrecv", Direction::SendReceive),
];

/// One m-line, with what the description's head says of all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    pub(crate) kind: String,
    pub(crate) mid: String,
    /// Its port is 0.
    pub(crate) is_rejected: bool,
    pub(crate) direction: Direction,
    /// Lower case, of its own payload types; also rtx.
    pub(crate) codecs: BTreeSet<String>,
    pub(crate) fingerprints: BTreeSet<String>,
    pub(crate) setup: Option<String>,
    pub(crate) candidates: usize,
    payload_types: Vec<String>,
}

/// None for what is no description, or has more than `most` m-lines.
pub(crate) fn parse(sdp: &str, most: usize) -> Option<Vec<Line>> {
    let mut rows = sdp.lines();
    if rows.next()? != "v=0" {
        return None;
    }
    let mut head = Line::default();
    let mut lines: Vec<Line> = Vec::new();
    for row in rows {
        if let Some(media) = row.strip_prefix("m=") {
            if lines.len() == most {
                return None;
            }
            lines.push(begin(media, &head)?);
        } else if let Some(attribute) = row.strip_prefix("a=") {
            let line = lines.last_mut().unwrap_or(&mut head);
            take(attribute, line);
        }
    }
    lines
        .iter()
        .all(|line| !line.mid.is_empty())
        .then_some(lines)
}

fn begin(media: &str, head: &Line) -> Option<Line> {
    let mut words = media.split(' ');
    let kind = words.next()?.to_owned();
    let port = words.next()?;
    let _protocol = words.next()?;
    Some(Line {
        kind,
        is_rejected: port == "0",
        payload_types: words.map(str::to_owned).collect(),
        direction: head.direction,
        fingerprints: head.fingerprints.clone(),
        setup: head.setup.clone(),
        ..Line::default()
    })
}

fn take(attribute: &str, line: &mut Line) {
    let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
    match name {
        "mid" => value.clone_into(&mut line.mid),
        "setup" => line.setup = Some(value.to_owned()),
        "fingerprint" => {
            line.fingerprints.insert(value.to_ascii_uppercase());
        }
        "candidate" => line.candidates += 1,
        "rtpmap" => {
            let codec = value.split_once(' ').and_then(|(payload_type, format)| {
                let is_own = line.payload_types.iter().any(|own| own == payload_type);
                is_own.then(|| format.split('/').next()).flatten()
            });
            line.codecs.extend(codec.map(str::to_ascii_lowercase));
        }
        _ => {
            let direction = DIRECTIONS.iter().find(|(word, _)| *word == name);
            line.direction = direction.map_or(line.direction, |(_, direction)| *direction);
        }
    }
}
