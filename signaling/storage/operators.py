"""The operators of this server: names and token hashes."""

from sqlalchemy.exc import IntegrityError

from signaling.domain.errors import BadRequest, ErrorCode
from signaling.domain.operators import Operator
from signaling.storage.database import Database
from signaling.storage.schema import operators


class SqlOperators:
    """Uses the store's database; implements `base.OperatorStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_operator(self, operator: Operator) -> None:
        row = {
            "name": operator.name,
            "token_hash": operator.token_hash,
            "created_ms": operator.created_ms,
        }
        try:
            await self._database.write(lambda c: c.execute(operators.insert().values(row)))
        except IntegrityError as cause:
            raise BadRequest(
                ErrorCode.INVALID_PARAMETER, "An operator with that name exists already."
            ) from cause

    async def operator_with(self, token_hash: str) -> Operator | None:
        query = operators.select().where(operators.c.token_hash == token_hash)
        row = await self._database.read(lambda c: c.execute(query).mappings().first())
        return None if row is None else Operator(**row)

    async def operators(self) -> tuple[Operator, ...]:
        query = operators.select().order_by(operators.c.created_ms, operators.c.name)
        rows = await self._database.read(lambda c: c.execute(query).mappings().all())
        return tuple(Operator(**row) for row in rows)

    async def remove_operator(self, name: str) -> bool:
        gone = operators.delete().where(operators.c.name == name)
        return await self._database.write(lambda c: c.execute(gone).rowcount) == 1
