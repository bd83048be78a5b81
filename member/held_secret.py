"""The secret of one session while it is recorded, as its source last gave it. Pure in time."""

from member.secret_source import NoSecretError, SecretSource


class HeldSecret:
    def __init__(self, source: SecretSource, session: str) -> None:
        self._source = source
        self._session = session
        self._secret: str | None = None
        self._asked_s = float("-inf")
        self._doubted = False

    async def first(self, now_s: float) -> str:
        """Errors: `NoSecretError`."""
        self._asked_s = now_s
        self._secret = await self._source.secret_of(self._session)
        return self._secret

    def doubt(self) -> None:
        """There is another secret, as it seems: what comes does not open, a member announced one,
        or the operator says so."""
        self._doubted = True

    async def changed(self, now_s: float) -> str | None:
        """The secret, if it is another one than before; None, too, where there is none."""
        rule = self._source.renewal
        wait_s = rule.doubted_s if self._doubted else rule.every_s
        if now_s < self._asked_s + wait_s:
            return None
        self._asked_s, self._doubted = now_s, False
        try:
            secret = await self._source.secret_of(self._session)
        except NoSecretError:
            return None  # what is recorded goes on with the secret that there was
        if secret == self._secret:
            return None
        self._secret = secret
        return secret
