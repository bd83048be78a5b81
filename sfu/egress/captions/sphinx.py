"""PocketSphinx, whose wheel holds a model of American English: small and offline, and no more than
that (docs/captions.md has its error rate)."""

from pocketsphinx import Decoder

from sfu.egress.captions.engine import RATE_HZ


class Sphinx:
    """Implements `Engine`."""

    def __init__(self) -> None:
        # Without the second pass over a phrase: it makes a caption later, and hardly better.
        self._decoder = Decoder(samprate=RATE_HZ, loglevel="FATAL", fwdflat=False)

    def begin(self) -> None:
        self._decoder.start_utt()

    def hear(self, audio: bytes) -> None:
        self._decoder.process_raw(audio, False, False)

    def partial(self) -> str:
        return self._text()

    def finish(self) -> str:
        self._decoder.end_utt()
        return self._text()

    def _text(self) -> str:
        found = self._decoder.hyp()
        return "" if found is None else str(found.hypstr)
