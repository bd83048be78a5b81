// A mediasoup server for measurements: one JSON command a line on stdin, one answer a line on
// stdout. `node mediasoup_server.cjs <mediasoup's folder> <address>`
"use strict";

const readline = require("node:readline");

const [, , folder, address] = process.argv;
const mediasoup = require(folder);

const MEDIA_CODECS = [
  { kind: "video", mimeType: "video/VP8", clockRate: 90000, preferredPayloadType: 96 },
  { kind: "audio", mimeType: "audio/opus", clockRate: 48000, channels: 2, preferredPayloadType: 111 },
];
const MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid";

let router;
const transports = new Map();

const video = (ssrc) => ({
  codecs: [
    {
      mimeType: "video/VP8",
      clockRate: 90000,
      payloadType: 96,
      rtcpFeedback: [{ type: "nack" }, { type: "nack", parameter: "pli" }],
    },
  ],
  encodings: [{ ssrc }],
});
const audio = (ssrc) => ({
  codecs: [{ mimeType: "audio/opus", clockRate: 48000, channels: 2, payloadType: 111 }],
  encodings: [{ ssrc }],
});

/** Receivers that repeat nothing and estimate nothing, as the load clients are. */
const capabilities = () => {
  const isSpoken = ({ type }) => type === "nack" || type === "ccm";
  const codecs = router.rtpCapabilities.codecs
    .filter(({ mimeType }) => !mimeType.endsWith("/rtx"))
    .map((codec) => ({ ...codec, rtcpFeedback: codec.rtcpFeedback.filter(isSpoken) }));
  return { codecs, headerExtensions: [{ kind: "video", uri: MID_URI, preferredId: 1 }] };
};

const COMMANDS = {
  async transport() {
    const transport = await router.createWebRtcTransport({
      listenIps: [address],
      initialAvailableOutgoingBitrate: 100_000_000,
    });
    transports.set(transport.id, transport);
    const { usernameFragment: ufrag, password } = transport.iceParameters;
    const [candidate] = transport.iceCandidates;
    const { value } = transport.dtlsParameters.fingerprints.find(
      ({ algorithm }) => algorithm === "sha-256",
    );
    return { id: transport.id, ufrag, password, fingerprint: value, port: candidate.port };
  },

  async connect({ transport, fingerprint }) {
    const fingerprints = [{ algorithm: "sha-256", value: fingerprint }];
    await transports.get(transport).connect({ dtlsParameters: { role: "client", fingerprints } });
    return {};
  },

  async produce({ transport, kind, ssrc }) {
    const rtpParameters = kind === "video" ? video(ssrc) : audio(ssrc);
    const { id } = await transports.get(transport).produce({ kind, rtpParameters });
    return { id };
  },

  async consume({ transport, producer }) {
    const consumer = { producerId: producer, rtpCapabilities: capabilities() };
    await transports.get(transport).consume(consumer);
    return {};
  },

  async clear() {
    for (const transport of transports.values()) transport.close();
    transports.clear();
    return {};
  },
};

const answer = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

const main = async () => {
  const worker = await mediasoup.createWorker({ logLevel: "error" });
  router = await worker.createRouter({ mediaCodecs: MEDIA_CODECS });
  answer({ number: 0 });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { number, command, ...rest } = JSON.parse(line);
    COMMANDS[command](rest).then(
      (found) => answer({ number, ...found }),
      (error) => answer({ number, error: String(error) }),
    );
  }
  worker.close();
};

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
