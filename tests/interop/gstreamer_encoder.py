"""A WHIP encoder of GStreamer's webrtcbin (libnice, OpenSSL, libsrtp). Runs in the system's Python,
which has GStreamer's bindings: `gstreamer_encoder.py URL TOKEN`, until standard input ends."""

import sys
import threading
import urllib.request

import gi

for name in ("Gst", "GstWebRTC", "GstSdp"):
    gi.require_version(name, "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

PIPELINE = """
webrtcbin name=peer bundle-policy=max-bundle
videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=15/1
  ! vp8enc deadline=1 keyframe-max-dist=30 ! rtpvp8pay pt=96
  ! application/x-rtp,media=video,encoding-name=VP8,payload=96 ! peer.
audiotestsrc is-live=true ! opusenc ! rtpopuspay pt=97
  ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! peer.
"""


def description(kind, text):
    _, message = GstSdp.SDPMessage.new_from_text(text)
    return GstWebRTC.WebRTCSessionDescription.new(kind, message)


class Encoder:
    def __init__(self, url, token):
        self.url, self.token = url, token
        self.pipeline = Gst.parse_launch(PIPELINE)
        self.peer = self.pipeline.get_by_name("peer")
        sends = GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY
        for index in range(2):
            self.peer.emit("get-transceiver", index).set_property("direction", sends)
        self.peer.connect("on-negotiation-needed", self.make_offer)
        self.peer.connect("notify::ice-gathering-state", self.send_offer)

    def make_offer(self, *_):
        made = Gst.Promise.new_with_change_func(self.take_offer, None)
        self.peer.emit("create-offer", None, made)

    def take_offer(self, promise, _):
        reply = promise.get_reply()
        text = reply.get_value("offer").sdp.as_text()
        offer = description(GstWebRTC.WebRTCSDPType.OFFER, text)
        self.peer.emit("set-local-description", offer, Gst.Promise.new())

    def send_offer(self, *_):
        complete = GstWebRTC.WebRTCICEGatheringState.COMPLETE
        if self.peer.get_property("ice-gathering-state") != complete:
            return
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/sdp"}
        offer = self.peer.get_property("local-description").sdp.as_text()
        request = urllib.request.Request(self.url, data=offer.encode(), headers=headers)
        with urllib.request.urlopen(request) as response:
            text = response.read().decode()
        answer = description(GstWebRTC.WebRTCSDPType.ANSWER, text)
        self.peer.emit("set-remote-description", answer, Gst.Promise.new())


def main():
    Gst.init(None)
    loop = GLib.MainLoop()
    encoder = Encoder(*sys.argv[1:3])
    encoder.pipeline.set_state(Gst.State.PLAYING)
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    loop.run()
    encoder.pipeline.set_state(Gst.State.NULL)


if __name__ == "__main__":
    main()
