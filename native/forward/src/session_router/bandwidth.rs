//! Downlinks of a session: release of queued packets, probes, and bandwidth allocation.

use std::time::{Duration, Instant};

use sealroute_rtp::DataRate;

use super::SessionRouter;
use crate::congestion::allocator::{AllocationRequest, Hysteresis, allocate};
use crate::down_track::{DownTrack, Fit};
use crate::drop_reason::DropReason;
use crate::encoding_layers::EncodingLayers;
use crate::layer_filter::Level;
use crate::layer_selector::{EncodingView, allows, rank};
use crate::layers::{Allocation, Layer};
use crate::outbox::{ForwardEvent, Outbox, StreamState};
use crate::parameters::{MediaKind, PreferredLayers, TransportHandle};
use crate::registry::{DownTrackKey, DownlinkKey, UpTrackKey};
use crate::up_track::{Encoding, EncodingIndex, UpTrack};

/// Nothing is raised this soon after a sign of congestion.
const HOLD: Duration = Duration::from_secs(1);
/// While the path's own queue is this long, the receiver has frames to show until a key frame of a
/// smaller encoding arrives.
const STANDING: Duration = Duration::from_millis(150);
/// The minimum bitrate assumed for a layer.
const LEAST: DataRate = DataRate::from_kbps(30.0);
/// The bitrate assumed for a frame size before it is measured: 0.6 Mbit/s for 640x360.
const RATE_OF_A_PIXEL: DataRate = DataRate::from_bps(2.5);
/// Probes go slightly beyond the requested bitrate.
const WANTED: f64 = 1.2;
const WANTED_PAUSED: f64 = 1.45;
/// A warning is lifted with this much headroom.
const LIFTED: f64 = 1.1;
const PIXELS_WITHOUT_PREFERENCE: u32 = 1280 * 720;

impl SessionRouter {
    pub(super) fn open_downlink(
        &mut self,
        now: Instant,
        transport: TransportHandle,
    ) -> DownlinkKey {
        self.downlinks.open(now, transport, &self.settings)
    }

    /// Runs the due work of all downlinks.
    pub(super) fn run_downlinks(&mut self, now: Instant, out: &mut impl Outbox) {
        for key in self.downlinks.take_timed() {
            if self.downlinks[key].take_release(now) {
                self.release(now, key, out);
            }
            self.probe(now, key, out);
            self.downlinks.note(now, key);
        }
        for key in self.downlinks.take_tick(now) {
            self.reallocate(now, key, out);
            self.probe(now, key, out);
            self.downlinks.note(now, key);
        }
    }

    fn release(&mut self, now: Instant, key: DownlinkKey, out: &mut impl Outbox) {
        let downlink = &mut self.downlinks[key];
        while let Some(queued) = downlink.pop(now) {
            let down_track = self
                .down_track_ssrcs
                .get(&(downlink.transport, queued.ssrc))
                .and_then(|&down_track| self.down_tracks.get_mut(down_track))
                .filter(|down_track| down_track.route.subscriber == queued.subscriber);
            let Some(down_track) = down_track else {
                // A packet of an ended subscription.
                self.counters.drop_packet(DropReason::NoSubscriber);
                continue;
            };
            let up_track = &self.up_tracks[down_track.route.up_track];
            match down_track.release(now, queued, up_track, downlink, out) {
                Ok(()) => self.counters.rtp_forwarded += 1,
                Err(reason) => self.counters.drop_packet(reason),
            }
            down_track.settle(&mut self.counters);
        }
        if downlink.queued() > 0 {
            downlink.wake_for_queue(now);
        }
    }

    fn probe(&mut self, now: Instant, key: DownlinkKey, out: &mut impl Outbox) {
        let downlink = &mut self.downlinks[key];
        let Some(wanted) = downlink.prober.poll_burst(now) else {
            return;
        };
        let down_tracks = downlink.down_tracks.iter().copied();
        let Some(down_track) =
            { down_tracks }.find(|&down_track| self.down_tracks[down_track].can_probe())
        else {
            downlink.prober.abandon(now);
            return;
        };
        let down_track = &mut self.down_tracks[down_track];
        let mut bytes = 0;
        while (bytes as f64) < wanted {
            let sent = down_track.send_padding(now, downlink, out);
            if sent == 0 {
                break;
            }
            bytes += sent;
        }
    }

    /// Allocates to down tracks that have not started, `new` ones and others, and requests the key
    /// frames that they start with. All others, paused video included, change with the next
    /// allocation.
    pub(super) fn begin(&mut self, now: Instant, key: DownlinkKey, new: &[DownTrackKey]) {
        if let Some((requests, _)) = self.allocation(now, key) {
            // A probe may have started. Nothing is in flight yet that it could disturb.
            self.downlinks.note(now, key);
            for request in &requests {
                let down_track = &mut self.down_tracks[request.down_track];
                let selection = &down_track.selection;
                let waits = selection.current().is_none() && !selection.lacks_room();
                let granted = request
                    .layer_options
                    .get(request.granted.unwrap_or_default());
                if let (true, Some(&layer)) = (waits, granted) {
                    down_track.set_allocation(Some(layer));
                }
            }
        }
        for &index in new {
            let down_track = &self.down_tracks[index];
            let up_track = &mut self.up_tracks[down_track.route.up_track];
            let target = down_track.target(now, up_track);
            up_track.want_key_frame(target);
        }
    }

    /// Re-runs the allocation for subscribers of a track whose layers became active.
    pub(super) fn begin_activated(&mut self, now: Instant, key: UpTrackKey) {
        let Some(up_track) = self.up_tracks.get_mut(key) else {
            return;
        };
        let activated = up_track.encodings.iter().any(|encoding| encoding.activated);
        if !activated || up_track.parameters.kind != MediaKind::Video {
            return;
        }
        for encoding in up_track.encodings.iter_mut() {
            encoding.activated = false;
        }
        let down_tracks = up_track.down_tracks.clone();
        for down_track in down_tracks {
            let down_track = &self.down_tracks[down_track];
            let selection = &down_track.selection;
            if selection.current().is_none() && selection.forwards() {
                self.begin(now, down_track.route.downlink, &[]);
            }
        }
    }

    /// Allocates a downlink's estimate among its down tracks and reports changed stream states.
    fn reallocate(&mut self, now: Instant, key: DownlinkKey, out: &mut impl Outbox) {
        let Some((requests, share)) = self.allocation(now, key) else {
            return;
        };
        for request in &requests {
            let down_track = &mut self.down_tracks[request.down_track];
            let lacked_room = down_track.selection.lacks_room();
            if let Some(state) = apply(now, down_track, request, share) {
                let subscriber = down_track.route.subscriber;
                out.event(ForwardEvent::StreamStateChanged { subscriber, state });
            }
            let downlink = &mut self.downlinks[key];
            let stands = downlink.estimator.queueing() >= STANDING;
            if stands && leaves_for_less(down_track, request) {
                // Packets of the old encoding would only queue up behind those in flight.
                down_track.withdraw(downlink);
                down_track.restart();
            } else if down_track.selection.lacks_room() && !lacked_room {
                down_track.withdraw(downlink);
            }
            down_track.settle(&mut self.counters);
        }
        self.show_stills(now, key, share.budget - share.spent);
    }

    /// The allocation for the videos of a downlink. `None`: nothing is known of the path, nor will
    /// be.
    fn allocation(
        &mut self,
        now: Instant,
        key: DownlinkKey,
    ) -> Option<(Vec<AllocationRequest>, Share)> {
        let downlink = &mut self.downlinks[key];
        let (mut audio, mut wanted) = (DataRate::ZERO, DataRate::ZERO);
        let mut requests = Vec::new();
        for &index in &downlink.down_tracks {
            let down_track = &self.down_tracks[index];
            let up_track = &self.up_tracks[down_track.route.up_track];
            if !down_track.selection.forwards() || !up_track.forwarding {
                continue;
            }
            if up_track.quiet {
                continue;
            }
            if down_track.route.kind == MediaKind::Audio {
                let bitrates = up_track.encodings.iter().map(|s| s.view().bitrate);
                audio += bitrates.sum::<DataRate>();
                continue;
            }
            let request = request_of(now, index, down_track, up_track);
            let room = if request.current.is_some() {
                WANTED
            } else {
                WANTED_PAUSED
            };
            wanted += request.bitrates.last().copied().unwrap_or_default() * room;
            requests.push(request);
        }
        downlink.wanted = audio + wanted;
        if !downlink.is_bounded() {
            return None;
        }
        downlink.consider_probe(now);
        if downlink.prober.is_busy() {
            // Key frames are rare: the next one waits for the result of the probe.
            for request in &mut requests {
                let selection = &self.down_tracks[request.down_track].selection;
                request.limit_to(request.current.filter(|_| selection.current().is_some()));
            }
        }
        let estimator = &downlink.estimator;
        let budget = estimator.budget() - audio;
        let last_reduction = estimator.last_reduction();
        let limited = estimator.is_limited();
        let hysteresis = Hysteresis {
            keep_all: !limited,
            hold: last_reduction.is_some_and(|at| now.saturating_duration_since(at) < HOLD),
        };
        let spent = allocate(budget, &mut requests, hysteresis);
        downlink.granted = audio + spent;
        downlink.set_pace();
        let share = Share {
            budget,
            spent,
            limited,
        };
        Some((requests, share))
    }
}

#[derive(Clone, Copy)]
struct Share {
    budget: DataRate,
    spent: DataRate,
    limited: bool,
}

fn request_of(
    now: Instant,
    index: DownTrackKey,
    down_track: &DownTrack,
    up_track: &UpTrack,
) -> AllocationRequest {
    let options: Vec<(Layer, DataRate)> = layer_options_of(now, down_track, up_track);
    let held = |encoding: EncodingIndex| {
        let of_it = |&(layer, _): &(Layer, DataRate)| EncodingIndex(layer.encoding) == encoding;
        options.iter().rposition(of_it)
    };
    let selection = &down_track.selection;
    AllocationRequest {
        down_track: index,
        bitrates: options.iter().map(|&(_, rate)| rate.max(LEAST)).collect(),
        current: match selection.allocation() {
            Allocation::Paused => None,
            // It has not started, so it loses nothing by starting lower.
            Allocation::UpTo(_) if selection.current().is_none() => Some(0),
            Allocation::UpTo(layer) => {
                let same = options.iter().position(|&(option, _)| option == layer);
                Some(
                    same.or_else(|| held(EncodingIndex(layer.encoding)))
                        .unwrap_or_default(),
                )
            }
            Allocation::Unlimited => Some(selection.current().and_then(held).unwrap_or_default()),
        },
        layer_options: options.into_iter().map(|(layer, _)| layer).collect(),
        weight: pixels(selection.preferred()),
        granted: None,
    }
}

/// The layer options of a down track with their cost, ascending. The smallest encoding offers all
/// its layers: a lower frame rate is better than none. The other encodings are offered whole,
/// because a smaller encoding is the layer below them; frame size precedes frame rate.
fn layer_options_of(
    now: Instant,
    down_track: &DownTrack,
    up_track: &UpTrack,
) -> Vec<(Layer, DataRate)> {
    let preferred = down_track.selection.preferred();
    let views = || {
        let views = up_track.encodings.iter().map(Encoding::view);
        (0_u8..).zip(views).filter(|(_, view)| view.is_live(now))
    };
    let mut live: Vec<_> = views().filter(|(_, v)| allows(preferred, *v)).collect();
    if live.is_empty() {
        live.extend(views().min_by_key(|&(_, view)| rank(view)));
    }
    live.sort_by_key(|&(_, view)| rank(view));
    let mut options = Vec::with_capacity(live.len());
    for (place, (encoding, view)) in live.into_iter().enumerate() {
        if place == 0 {
            let layers = &up_track.encodings[EncodingIndex(encoding)].layers;
            options.extend(lower_layer_options(
                layers,
                encoding,
                layers.preferred(preferred, view.size),
            ));
        }
        options.push((Layer::whole(encoding), expected_rate(view)));
    }
    options
}

/// Measured, or expected for the frame size.
fn expected_rate(view: EncodingView) -> DataRate {
    if view.bitrate > DataRate::ZERO {
        return view.bitrate;
    }
    let (pixels, _) = rank(view);
    RATE_OF_A_PIXEL * f64::from(pixels)
}

/// The layers of an encoding below the preferred one: frame rate before frame size.
fn lower_layer_options(
    layers: &EncodingLayers,
    encoding: u8,
    preferred: Level,
) -> impl Iterator<Item = (Layer, DataRate)> + '_ {
    let top = layers.top().min(preferred);
    let smooth = (0..top.temporal).map(|temporal| (0, temporal));
    let large = (0..top.spatial).map(move |spatial| (spatial, top.temporal));
    smooth.chain(large).filter_map(move |(spatial, temporal)| {
        let (rate, _) = layers.up_to(Level { spatial, temporal })?;
        let layer = Layer {
            encoding,
            spatial,
            temporal,
        };
        Some((layer, rate))
    })
}

fn pixels(preferred: PreferredLayers) -> u32 {
    match (preferred.max_width_px, preferred.max_height_px) {
        (Some(width), Some(height)) => width.saturating_mul(height),
        _ => PIXELS_WITHOUT_PREFERENCE,
    }
}

/// Whether the down track is on an encoding that exceeds its grant at every layer.
fn leaves_for_less(down_track: &DownTrack, request: &AllocationRequest) -> bool {
    let least = down_track.selection.current().and_then(|current| {
        let of_it = |option: &Layer| EncodingIndex(option.encoding) == current;
        request.layer_options.iter().position(of_it)
    });
    least.is_some_and(|least| request.granted.is_some_and(|granted| granted < least))
}

/// Applies a grant to a down track. Returns its stream state if it changed.
fn apply(
    now: Instant,
    down_track: &mut DownTrack,
    request: &AllocationRequest,
    share: Share,
) -> Option<StreamState> {
    let smallest = *request.layer_options.first()?;
    let granted = request
        .granted
        .and_then(|option| request.layer_options.get(option));
    let fit = Fit {
        is_smallest: request.granted == Some(0),
        exceeds: share.limited && share.spent > share.budget,
        has_headroom: share.spent * LIFTED <= share.budget,
    };
    down_track.apply_grant(now, granted.copied(), smallest, fit)
}
