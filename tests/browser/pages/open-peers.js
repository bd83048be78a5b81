// Counts the peer connections that nobody closed. Before the SDK.
'use strict';

const peers = [];
globalThis.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...settings) {
    super(...settings);
    peers.push(this);
  }
};
globalThis.openPeers = () => peers.filter(({ signalingState }) => signalingState !== 'closed');
