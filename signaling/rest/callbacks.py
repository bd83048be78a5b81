"""Registration of callbacks, as the one official SDK with this feature uses it."""

from signaling.callbacks import registration
from signaling.domain.callbacks import Callback
from signaling.domain.errors import ErrorCode, NotFound
from signaling.http.answers import Answer, empty_answer, json_answer
from signaling.rest import replies, requests
from signaling.rest.call import Call


def _shown(callback: Callback) -> replies.Callback:
    return replies.Callback(
        id=callback.id,
        group=callback.group,
        event=callback.event,
        url=callback.url,
        created_at=callback.created_ms,
    )


async def register_callback(call: Call) -> Answer:
    """Registers a callback; an identical registration returns the existing one."""
    services = call.services
    body = call.read(requests.RegisterCallback)
    wanted = registration.Wanted(group=body.group, event=body.event, url=body.url)
    callback = await registration.register(
        services.store.callbacks,
        call.project,
        wanted,
        services.callback_targets,
        int(services.clock.unix_s() * 1000),
    )
    return json_answer(200, _shown(callback))


async def list_callbacks(call: Call) -> Answer:
    """Answers with a bare array, as that SDK expects."""
    found = await call.services.store.callbacks.callbacks_of(call.project.api_key)
    return json_answer(200, [_shown(callback) for callback in found])


async def unregister_callback(call: Call) -> Answer:
    """Removes a registration and its waiting deliveries."""
    store = call.services.store.callbacks
    if not await store.remove_callback(call.project.api_key, call.path["id"]):
        raise NotFound(ErrorCode.CALLBACK_NOT_FOUND)
    return empty_answer(204)
