//! Sources and sinks of `sfu.commands`, read by attribute and checked.

use std::collections::HashMap;

use pyo3::FromPyObject;
use pyo3::prelude::*;
use sealroute_forward::{EncodingParameters, ExtensionIds, SinkParameters, SourceParameters};

use crate::extraction::{kids, mid, named, payload_type, require};

#[derive(FromPyObject)]
struct EncodingFields {
    ssrc: Option<u32>,
    rtx_ssrc: Option<u32>,
    rid: Option<String>,
}

impl EncodingFields {
    fn into_parameters(self) -> PyResult<EncodingParameters> {
        let is_rid = |rid: &String| {
            (1..=255).contains(&rid.len()) && rid.bytes().all(|b| b.is_ascii_graphic())
        };
        require(self.rid.as_ref().is_none_or(is_rid), "rid is malformed")?;
        Ok(EncodingParameters {
            ssrc: self.ssrc,
            rtx_ssrc: self.rtx_ssrc,
            rid: self.rid,
        })
    }
}

#[derive(FromPyObject)]
pub(crate) struct SourceFields {
    mid: String,
    kind: String,
    codec: String,
    payload_type: u8,
    rtx_payload_type: Option<u8>,
    clock_rate_hz: u32,
    encodings: Vec<EncodingFields>,
    extensions: HashMap<String, u8>,
    nack: bool,
    declared_kids: Vec<Vec<u8>>,
}

impl SourceFields {
    pub(crate) fn into_parameters(self) -> PyResult<SourceParameters> {
        require(!self.encodings.is_empty(), "a source needs an encoding")?;
        require(self.clock_rate_hz > 0, "clock rate is out of range")?;
        let encodings = self
            .encodings
            .into_iter()
            .map(EncodingFields::into_parameters);
        Ok(SourceParameters {
            mid: mid(self.mid)?,
            kind: named(&self.kind)?,
            codec: named(&self.codec)?,
            payload_type: payload_type(self.payload_type)?,
            rtx_payload_type: self.rtx_payload_type.map(payload_type).transpose()?,
            clock_rate_hz: self.clock_rate_hz,
            encodings: encodings.collect::<PyResult<_>>()?,
            extensions: extension_ids(self.extensions)?,
            nack: self.nack,
            declared_kids: kids(self.declared_kids)?,
        })
    }
}

#[derive(FromPyObject)]
pub(crate) struct SinkFields {
    mid: String,
    source_mid: String,
    ssrc: u32,
    rtx_ssrc: Option<u32>,
    payload_type: u8,
    rtx_payload_type: Option<u8>,
    extensions: HashMap<String, u8>,
    nack: bool,
}

impl SinkFields {
    pub(crate) fn into_parameters(self) -> PyResult<SinkParameters> {
        require(self.ssrc > 0, "SSRC is out of range")?;
        require(
            self.rtx_ssrc.is_some() == self.rtx_payload_type.is_some(),
            "rtx is half given",
        )?;
        Ok(SinkParameters {
            mid: mid(self.mid)?,
            source_mid: mid(self.source_mid)?,
            ssrc: self.ssrc,
            rtx_ssrc: self.rtx_ssrc,
            payload_type: payload_type(self.payload_type)?,
            rtx_payload_type: self.rtx_payload_type.map(payload_type).transpose()?,
            extensions: extension_ids(self.extensions)?,
            nack: self.nack,
        })
    }
}

/// Ids in ascending order, so that equal dictionaries give equal parameters.
fn extension_ids(values: HashMap<String, u8>) -> PyResult<ExtensionIds> {
    let convert = |(name, id): (String, u8)| {
        require(id != 0 && id != 15, "extension id is out of range")?;
        Ok((named(&name)?, id))
    };
    let mut ids = values
        .into_iter()
        .map(convert)
        .collect::<PyResult<Vec<_>>>()?;
    ids.sort_unstable_by_key(|(_, id)| *id);
    Ok(ExtensionIds(ids))
}
