//! The steady state of forwarding allocates nothing.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]
// A global allocator requires `unsafe`; this one only counts.
#![allow(unsafe_code)]

mod support;

use sealroute_forward::{
    Codec, ForwardEvent, Outbox, PayloadAccess, SubscriberHandle, TransportHandle,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;
use support::wire::{rtp, vp8};
use support::*;

struct Counting;

thread_local! {
    // Per thread, because the test harness has threads of its own.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's layout, unchanged.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's pointer came from `System` above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Default)]
struct Sum(usize);

impl Outbox for Sum {
    fn rtp(&mut self, _: TransportHandle, header: &[u8], payload: &[u8]) {
        self.0 += header.len() + payload.len();
    }
    fn rtcp(&mut self, _: TransportHandle, _: &[u8]) {}
    fn event(&mut self, _: ForwardEvent) {}
}

#[test]
fn packets_are_forwarded_to_many_subscribers_without_allocating() {
    let mut session = Session::with(PayloadAccess::Opaque, up_track(Codec::Vp8));
    for index in 0..20 {
        let mut parameters = down_track();
        parameters.ssrc += 10 * (index + 1);
        parameters.rtx_ssrc = Some(parameters.ssrc + 1);
        let transport = TransportHandle(100 + u64::from(index));
        session.subscribe(
            SubscriberHandle(100 + u64::from(index)),
            transport,
            parameters,
        );
    }
    let packets: Vec<_> = (0..4_000_u16)
        .map(|number| {
            let body = [number as u8; 900];
            rtp(
                number,
                u32::from(number) * 3_000,
                &vp8(number % 100 == 0, number, &body),
            )
            .bytes()
        })
        .collect();
    let (router, mut out, mut now) = (&mut session.router, Sum::default(), session.now);
    let mut counted = 0;
    for (number, packet) in packets.iter().enumerate() {
        let before = ALLOCATIONS.get();
        router.handle_rtp(now, UPLINK, packet);
        if number % 8 == 7 {
            router.flush(now, &mut out);
        }
        if number > 1_500 {
            counted += ALLOCATIONS.get() - before;
        }
        now += Duration::from_micros(100);
    }
    assert!(out.0 > 4_000 * 20 * 900);
    assert_eq!(counted, 0);
}
