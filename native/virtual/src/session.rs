//! One session of the core, its clock, and its output.

use std::io::Write;
use std::time::{Duration, Instant};

use sealroute_forward::{
    ForwardError, ForwardEvent, ForwardSettings, Layer, Outbox, PreferredLayers, SessionRouter,
    SubscriberHandle, TransportHandle,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::setup::{MID, PUBLISHER, Setup, UPLINK};
use crate::write_record;

/// Sent packets as records.
#[derive(Default)]
struct Records {
    bytes: Vec<u8>,
}

impl Records {
    fn add(&mut self, kind: u8, to: TransportHandle, parts: [&[u8]; 2]) {
        // Writing to memory cannot fail.
        let _ = write_record(
            &mut self.bytes,
            kind,
            &[&to.0.to_be_bytes(), parts[0], parts[1]],
        );
    }
}

impl Outbox for Records {
    fn rtp(&mut self, to: TransportHandle, header: &[u8], payload: &[u8]) {
        self.add(b'r', to, [header, payload]);
    }

    fn rtcp(&mut self, to: TransportHandle, compound: &[u8]) {
        self.add(b'c', to, [compound, &[]]);
    }

    fn event(&mut self, _event: ForwardEvent) {}
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Preferred {
    width_px: Option<u32>,
    height_px: Option<u32>,
    frame_rate: Option<f32>,
}

/// A configured session.
pub struct Session {
    router: SessionRouter,
    now: Instant,
    sent: Records,
}

impl Session {
    /// Creates a session from the JSON of a [`Setup`].
    pub fn new(json: &[u8]) -> Result<Self, String> {
        let setup: Setup = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let now = Instant::now();
        let mut router = SessionRouter::new(setup.access(), ForwardSettings::default());
        router
            .publish(now, PUBLISHER, UPLINK, vec![setup.up_track()?])
            .map_err(refused)?;
        for number in 0..setup.subscribers {
            let (subscriber, transport, down_track) = setup.down_track(number)?;
            router
                .subscribe(now, subscriber, PUBLISHER, transport, &[down_track])
                .map_err(refused)?;
        }
        Ok(Self {
            router,
            now,
            sent: Records::default(),
        })
    }

    /// Handles one record.
    pub fn take(&mut self, kind: u8, body: &[u8], output: &mut impl Write) -> Result<(), String> {
        match kind {
            b'R' => {
                self.router.handle_rtp(self.now, UPLINK, body);
            }
            b'C' => {
                let (to, compound) = handle(body)?;
                let transport = TransportHandle(to);
                self.router
                    .handle_rtcp(self.now, transport, compound, &mut self.sent);
            }
            b'P' => {
                self.pass(Duration::from_micros(microseconds(body)?));
                self.answer(output)?;
            }
            b'W' => self.prefer(body)?,
            b'A' => self.allocate(body)?,
            b'Q' => self.count(output)?,
            other => return Err(format!("unknown record kind {other}")),
        }
        Ok(())
    }

    /// Forwards the received packets, then advances time and runs every timer at its deadline.
    fn pass(&mut self, time: Duration) {
        self.router.flush(self.now, &mut self.sent);
        let end = self.now + time;
        while let Some(due) = self.router.poll_timeout().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.router.handle_timeout(self.now, &mut self.sent);
        }
        self.now = end;
    }

    fn answer(&mut self, output: &mut impl Write) -> Result<(), String> {
        let done = output
            .write_all(&self.sent.bytes)
            .and_then(|()| write_record(output, b'e', &[]))
            .and_then(|()| output.flush());
        self.sent.bytes.clear();
        done.map_err(|error| error.to_string())
    }

    fn prefer(&mut self, body: &[u8]) -> Result<(), String> {
        let (subscriber, json) = handle(body)?;
        let preferred: Preferred =
            serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let preferred = PreferredLayers {
            max_width_px: preferred.width_px,
            max_height_px: preferred.height_px,
            max_frame_rate: preferred.frame_rate,
        };
        self.router
            .set_preferred_layers(SubscriberHandle(subscriber), preferred)
            .map_err(refused)
    }

    fn allocate(&mut self, body: &[u8]) -> Result<(), String> {
        let (subscriber, layer) = handle(body)?;
        let layer = match *layer {
            [] => None,
            [encoding, spatial, temporal] => Some(Layer {
                encoding,
                spatial,
                temporal,
            }),
            _ => return Err("the allocation has a wrong length".to_owned()),
        };
        self.router
            .set_allocation(SubscriberHandle(subscriber), MID, layer)
            .map_err(refused)
    }

    fn count(&self, output: &mut impl Write) -> Result<(), String> {
        let counters = self.router.counters().iter();
        let counters: Map<String, Value> = counters
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        let json = Value::from(counters).to_string();
        write_record(output, b'j', &[json.as_bytes()])
            .and_then(|()| output.flush())
            .map_err(|error| error.to_string())
    }
}

fn refused(error: ForwardError) -> String {
    error.name().to_owned()
}

fn handle(body: &[u8]) -> Result<(u64, &[u8]), String> {
    let (head, rest) = body
        .split_first_chunk()
        .ok_or_else(|| "the record has no handle".to_owned())?;
    Ok((u64::from_be_bytes(*head), rest))
}

fn microseconds(body: &[u8]) -> Result<u64, String> {
    let bytes: [u8; 4] = body
        .try_into()
        .map_err(|_| "the time has a wrong length".to_owned())?;
    Ok(u32::from_be_bytes(bytes).into())
}
