"""What each message of the server must look like. Generated from signaling/protocol by
`make docs`; edit that."""

from typing import Final

from sealroute_client.shape import (
    Part,
    anything,
    data,
    flag,
    identifier,
    many,
    number,
    one_of,
    or_null,
    table,
    text,
    whole,
)

_ConnectionInfo: Final = Part(
    {
        "connectionId": identifier(),
        "creationTime": whole(least=0),
    },
    {
        "data": text(),
    },
)
_SessionInfo: Final = Part(
    {
        "sessionId": identifier(),
    },
    {
        "e2ee": anything(),
        "mediaMode": anything(),
    },
)
_Capabilities: Final = Part(
    {
        "publish": whole(least=0),
        "subscribe": whole(least=0),
        "signal": whole(least=0),
        "forceUnpublish": whole(least=0),
        "forceDisconnect": whole(least=0),
        "forceMute": whole(least=0),
    }
)
_Dimensions: Final = Part(
    {
        "width": whole(least=0, most=16384),
        "height": whole(least=0, most=16384),
    }
)
_StreamInfo: Final = Part(
    {
        "streamId": identifier(),
        "connectionId": identifier(),
        "creationTime": whole(least=0),
    },
    {
        "name": text(),
        "hasAudio": flag(),
        "hasVideo": flag(),
        "videoType": or_null(one_of("camera", "custom", "screen")),
        "videoDimensions": or_null(_Dimensions),
        "frameRate": or_null(number()),
        "codecs": table(one_of("audio", "video"), one_of("av1", "h264", "opus", "vp8", "vp9")),
        "hasCaptions": flag(),
        "initials": text(),
    },
)
_IceServer: Final = Part(
    {
        "urls": many(text()),
    },
    {
        "username": or_null(text()),
        "credential": or_null(text()),
    },
)
_TrackInfo: Final = Part(
    {
        "mid": identifier(),
        "kind": one_of("audio", "video"),
        "codec": one_of("av1", "h264", "opus", "vp8", "vp9"),
    }
)
_DownlinkTrack: Final = Part(
    {
        "mid": identifier(),
        "kind": one_of("audio", "video"),
        "codec": one_of("av1", "h264", "opus", "vp8", "vp9"),
        "subscriberId": identifier(),
        "streamId": identifier(),
    }
)

MESSAGES: Final = {
    "ok": Part(
        {
            "re": whole(least=0, most=2147483647),
        }
    ),
    "error": Part(
        {
            "code": text(most=64),
            "name": text(most=64),
            "number": whole(least=0),
            "message": text(most=1000),
        },
        {
            "re": or_null(whole(least=0, most=2147483647)),
        },
    ),
    "welcome": Part(
        {
            "re": whole(least=0, most=2147483647),
            "connection": _ConnectionInfo,
            "session": _SessionInfo,
            "capabilities": _Capabilities,
            "connections": many(_ConnectionInfo),
            "streams": many(_StreamInfo),
            "resume": text(),
            "resumed": flag(),
            "keepAliveMs": whole(least=0),
            "graceMs": whole(least=0),
        },
        {
            "iceServers": many(_IceServer),
            "hints": table(identifier(), whole(least=0, most=65535)),
            "muteForced": flag(),
            "lastRequest": or_null(whole(least=0, most=2147483647)),
        },
    ),
    "published": Part(
        {
            "re": whole(least=0, most=2147483647),
            "streamId": identifier(),
            "answer": text(),
            "tracks": many(_TrackInfo),
        }
    ),
    "subscribed": Part(
        {
            "re": whole(least=0, most=2147483647),
            "subscriberId": identifier(),
            "streamId": identifier(),
        }
    ),
    "downlinkOffer": Part(
        {
            "offerId": whole(least=0),
            "sdp": text(),
            "tracks": many(_DownlinkTrack),
        }
    ),
    "iceRestarted": Part(
        {
            "re": whole(least=0, most=2147483647),
            "answer": text(),
        }
    ),
    "activeSpeaker": Part(
        {
            "streamId": identifier(),
        }
    ),
    "subscriberConnected": Part(
        {
            "subscriberId": identifier(),
        }
    ),
    "peerSubscribed": Part(
        {
            "subscriberId": identifier(),
            "streamId": identifier(),
            "connectionId": identifier(),
            "audio": flag(),
            "video": flag(),
        }
    ),
    "peerUnsubscribed": Part(
        {
            "subscriberId": identifier(),
        }
    ),
    "peerDescriptionReceived": Part(
        {
            "subscriberId": identifier(),
            "type": one_of("answer", "offer"),
            "sdp": text(),
        }
    ),
    "peerCandidateReceived": Part(
        {
            "subscriberId": identifier(),
            "candidate": text(),
            "mid": identifier(),
        }
    ),
    "connectionCreated": Part(
        {
            "connection": _ConnectionInfo,
        }
    ),
    "connectionDestroyed": Part(
        {
            "connectionId": identifier(),
            "reason": one_of("clientDisconnected", "forceDisconnected", "networkDisconnected"),
        }
    ),
    "streamCreated": Part(
        {
            "stream": _StreamInfo,
        }
    ),
    "streamDestroyed": Part(
        {
            "streamId": identifier(),
            "reason": one_of(
                "clientDisconnected",
                "forceDisconnected",
                "forceUnpublished",
                "mediaStopped",
                "networkDisconnected",
            ),
        }
    ),
    "streamPropertyChanged": Part(
        {
            "streamId": identifier(),
        },
        {
            "hasAudio": or_null(flag()),
            "hasVideo": or_null(flag()),
            "videoDimensions": or_null(_Dimensions),
            "hasCaptions": or_null(flag()),
        },
    ),
    "archiveStarted": Part(
        {
            "id": text(most=64),
            "name": text(),
        }
    ),
    "archiveStopped": Part(
        {
            "id": text(most=64),
            "name": text(),
        }
    ),
    "captionReceived": Part(
        {
            "streamId": identifier(),
            "caption": text(most=1000),
            "isFinal": flag(),
        }
    ),
    "signalReceived": Part(
        {},
        {
            "from": or_null(identifier()),
            "type": or_null(text()),
            "data": or_null(text()),
            "encrypted": or_null(data()),
        },
    ),
    "muteForced": Part(
        {
            "active": flag(),
        },
        {
            "streamId": or_null(identifier()),
        },
    ),
    "notEncrypted": Part(
        {
            "streamId": identifier(),
            "mid": identifier(),
            "packets": whole(least=0),
        }
    ),
    "streamStateChanged": Part(
        {
            "subscriberId": identifier(),
            "state": one_of("limited", "ok", "paused"),
        }
    ),
    "subscribedLayersChanged": Part(
        {
            "streamId": identifier(),
            "mid": identifier(),
            "subscribed": flag(),
            "rids": many(text()),
        }
    ),
    "hintAnnounced": Part(
        {
            "connectionId": identifier(),
            "hint": whole(least=0, most=65535),
        }
    ),
    "transportLost": Part(
        {
            "direction": one_of("downlink", "uplink"),
        }
    ),
    "disconnected": Part(
        {
            "reason": one_of(
                "clientDisconnected", "forceDisconnected", "networkDisconnected", "serverShutdown"
            ),
        }
    ),
    "pong": Part(
        {
            "re": whole(least=0, most=2147483647),
        }
    ),
}
