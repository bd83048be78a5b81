"""What a table of lies must cover beside the messages: the rules of SDP and RTP that clients keep.

Each is a thing that the server writes and a client must not simply believe.
"""

DOWNLINK = {
    "sdp:downlink.kind": "m-lines other than audio and video carry nothing",
    "sdp:downlink.direction": "nothing is sent over the downlink",
    "sdp:downlink.codec": "Opus and the encrypted video codecs, or nothing",
    "sdp:downlink.payload-type": "the codec is the description's, not a number's",
    "sdp:downlink.extension": "header extensions say nothing of who sent",
    "sdp:downlink.mid": "an m-line is one Subscriber's, until it is given away",
    "sdp:downlink.ssrc": "another SSRC is no other stream",
    "sdp:downlink.second-line": "one m-line for each Subscriber and kind",
    "sdp:downlink.m-lines": "m-lines do not disappear",
}
UPLINK = {
    "sdp:uplink.codec": "what can not be encrypted is not sent",
    "sdp:uplink.mid": "an answer is to the m-lines that were offered",
    "sdp:uplink.rid": "layers are the client's choice",
    "sdp:uplink.payload-type": "the codec is the description's, not a number's",
    "sdp:uplink.direction": "nothing is received over the uplink",
    "sdp:uplink.m-lines": "m-lines do not disappear",
}
BOTH = {
    "sdp:fingerprint": "media goes to the certificate that the description named",
    "rtp": "frames that do not open are not shown, and none is shown twice",
}
RULES = DOWNLINK | UPLINK | BOTH
