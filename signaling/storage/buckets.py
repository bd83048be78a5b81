"""The buckets of projects; implements `base.BucketStore`. They are wrapped: they have keys."""

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from sfu.egress.buckets import Bucket
from signaling.domain.errors import BadRequest, ErrorCode
from signaling.storage.database import Database, may_be_name
from signaling.storage.schema import buckets
from signaling.storage.wrapping import SecretWrapper


class SqlBuckets:
    """Uses the store's database."""

    def __init__(self, database: Database, wrapper: SecretWrapper) -> None:
        self._database = database
        self._wrapper = wrapper

    async def bucket(self, project_id: str) -> Bucket | None:
        if not may_be_name(project_id):
            return None
        query = sa.select(buckets.c.settings).where(buckets.c.project_id == project_id)
        wrapped = await self._database.read(lambda c: c.execute(query).scalar())
        return None if wrapped is None else self._bucket(wrapped, project_id)

    async def set_bucket(self, project_id: str, bucket: Bucket | None) -> None:
        def work(connection: sa.Connection) -> None:
            connection.execute(buckets.delete().where(buckets.c.project_id == project_id))
            if bucket is not None:
                row = {"project_id": project_id, "settings": self._wrapped(bucket, project_id)}
                connection.execute(buckets.insert().values(row))

        try:
            await self._database.write(work)
        except IntegrityError as cause:
            raise BadRequest(ErrorCode.INVALID_PARAMETER, "The project does not exist.") from cause

    async def rewrap_buckets(self) -> None:
        """Wraps all of them with the newest key."""

        def work(connection: sa.Connection) -> None:
            for row in connection.execute(buckets.select()).mappings().all():
                owner = row["project_id"]
                again = self._wrapped(self._bucket(row["settings"], owner), owner)
                change = buckets.update().where(buckets.c.project_id == owner)
                connection.execute(change.values(settings=again))

        await self._database.write(work)

    def _wrapped(self, bucket: Bucket, owner: str) -> str:
        return self._wrapper.wrap(msgspec.json.encode(bucket).decode(), owner)

    def _bucket(self, wrapped: str, owner: str) -> Bucket:
        return msgspec.json.decode(self._wrapper.unwrap(wrapped, owner), type=Bucket)
