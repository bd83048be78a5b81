// What became of each media connection of the page, and how late its timers were. Before the SDK.
'use strict';

const peerHistories = [];
/** By the second in which a timer of 100 ms came late: by how much, where that is worth a word. */
const lateMs = {};

globalThis.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...settings) {
    super(...settings);
    const states = [];
    const at = () => Math.round(performance.now());
    const note = (state) => states.push(`${at()} ${state}`);
    note('made');
    for (const name of ['connectionState', 'iceConnectionState', 'signalingState']) {
      this.addEventListener(name.toLowerCase() + 'change', () => note(`${name} ${this[name]}`));
    }
    peerHistories.push({ peer: this, states });
  }
};

const TIMER_MS = 100;
const WORTH_A_WORD_MS = 500;
let expected = performance.now() + TIMER_MS;
setInterval(() => {
  const now = performance.now();
  const late = Math.round(now - expected);
  if (late > WORTH_A_WORD_MS) lateMs[Math.round(now / 1_000)] = late;
  expected = now + TIMER_MS;
}, TIMER_MS);

const KEPT = {
  transport: ['dtlsState', 'iceState', 'packetsSent', 'packetsReceived', 'bytesSent'],
  'outbound-rtp': ['kind', 'rid', 'active', 'packetsSent', 'framesEncoded', 'keyFramesEncoded'],
  'inbound-rtp': ['kind', 'mid', 'packetsReceived', 'framesDecoded', 'pliCount', 'packetsLost'],
};

async function describePeer({ peer, states }) {
  const rows = peer.signalingState === 'closed' ? [] : [...(await peer.getStats()).values()];
  const media = rows
    .filter(({ type }) => type in KEPT)
    .map((row) => [row.type, ...KEPT[row.type].map((name) => `${name}=${row[name]}`)].join(' '));
  return { states, media };
}

Object.assign(globalThis, { peerHistories, describePeer, lateMs });
