"""A trunk: a stream's way from the worker of its publisher to another one of the same session."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from sfu import core_api
from sfu.client_records import PublishedStream, SessionStreams
from sfu.core_api import EncodingParameters, UpTrackParameters
from sfu.ids import PublisherHandle, TransportHandle
from sfu.rtp_parameters import NegotiatedMedia, up_track_parameters


class Trunk:
    """Implements `PublisherEvents` for the stream's input: the publisher that it is over there."""

    def __init__(self, published: PublishedStream, to: SessionStreams) -> None:
        self.handle = PublisherHandle(to.context.router.next_handle())
        self._published = published
        self._from = published.home
        self._to = to
        self._source_end = TransportHandle(self._from.context.router.next_handle())
        self._input_end = TransportHandle(to.context.router.next_handle())
        self._closed = False
        self._open()

    def _open(self) -> None:
        """Audio always crosses: each worker has to know how loud everybody is. What crosses of a
        video is up to its input, which at first wants all."""
        ssrcs = count(1)
        inputs = tuple(_input(one, ssrcs) for one in self._published.media.values())
        there, here = self._to.context, self._from.context
        there.publishers[self.handle] = self
        there.submit_to_part(
            core_api.OpenTrunk(self._to.handle, self._input_end, here.worker, self._source_end)
        )
        there.submit_to_part(
            core_api.Publish(self._to.handle, self.handle, self._input_end, inputs)
        )
        here.submit_to_part(
            core_api.OpenTrunk(self._from.handle, self._source_end, there.worker, self._input_end)
        )
        for up_track in inputs:
            fed = tuple(one.ssrc for one in up_track.encodings if one.ssrc is not None)
            here.submit_to_part(
                core_api.FeedTrunk(self._published.handle, up_track.mid, self._source_end, fed)
            )

    def set_forwarding(self, mid: str, forwarding: bool) -> None:
        """The origin passes nothing on of what is muted. Its receivers there have to start again
        afterwards, as those at the origin do."""
        command = core_api.SetUpTrackForwarding(self.handle, mid, forwarding)
        self._to.context.submit_to_part(command)

    def close(self) -> None:
        """Ends both ends, and all that its input feeds. Idempotent."""
        if self._closed:
            return
        self._closed = True
        del self._to.context.publishers[self.handle]
        for part, end in ((self._to, self._input_end), (self._from, self._source_end)):
            part.context.submit_ending(core_api.CloseTransport(end))

    # --- what the other core reports -----------------------------------------------------------

    def speaks(self) -> None:
        if self._to.leads:
            self._published.owner.report_speaking(self._published.stream)

    def not_encrypted(self, mid: str, packets: int) -> None:
        """The core of the publisher has judged, and reports, what it sends."""

    def subscribed_layers(self, mid: str, subscribed: Sequence[str | None]) -> None:
        self._from.context.submit_to_part(
            core_api.SetTrunkDemand(
                self._published.handle, mid, self._source_end, tuple(subscribed)
            )
        )

    def publish_failed(self) -> None:
        self.close()


def _input(media: NegotiatedMedia, ssrcs: "count[int]") -> UpTrackParameters:
    """The form of what crosses: that of the publisher, with SSRCs of the trunk. Whatever is lost on
    the way is asked for, also of a publisher that cannot be."""
    encodings = (EncodingParameters(next(ssrcs), None, one.rid) for one in media.encodings)
    return replace(
        up_track_parameters(media, ()),
        rtx_payload_type=None,
        encodings=tuple(encodings),
        nack=True,
    )
