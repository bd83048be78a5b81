"""Opens the store that the settings select."""

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from config.settings import StorageSettings
from signaling.storage.base import Store
from signaling.storage.folder import prepare, served
from signaling.storage.sqlite import open_sqlite
from signaling.storage.wrapping import given_keys, wrapper_of

Migrate = Callable[[StorageSettings], Awaitable[None]]


async def open_store(settings: StorageSettings) -> Store:
    """Opens SQLite in the data folder, or PostgreSQL if `url` is set; its driver is loaded only
    then. Errors: `storage_unavailable`."""
    data_dir = Path(settings.data_dir)
    given_keys(settings.sealing_key)  # a wrong one is refused before the folder is created
    if not settings.url.reveal():
        return await open_sqlite(
            data_dir, sealing_key=settings.sealing_key, busy_timeout_ms=settings.busy_timeout_ms
        )
    wrapper = wrapper_of(settings.sealing_key, data_dir)
    opened: Store = await importlib.import_module("signaling.storage.postgres").open_postgres(
        settings.url, wrapper
    )
    return opened


@contextlib.asynccontextmanager
async def serving_store(
    settings: StorageSettings, migrate: Migrate | None = None
) -> AsyncIterator[Store]:
    """The store for a server; `migrate` may bring its schema up to date before it is opened. Only
    one server at a time uses a folder with SQLite: with two, the members of a session would be
    split between them. Errors: `storage_unavailable`."""
    given_keys(settings.sealing_key)  # as in `open_store`
    async with contextlib.AsyncExitStack() as stack:
        if not settings.url.reveal():
            data_dir = Path(settings.data_dir)
            await asyncio.to_thread(prepare, data_dir)
            stack.enter_context(served(data_dir))
        if migrate is not None:
            await migrate(settings)
        store = await open_store(settings)
        stack.push_async_callback(store.close)
        yield store
