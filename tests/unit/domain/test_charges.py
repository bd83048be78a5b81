"""Every message of a client is charged before anything is done for it."""

import copy

import pytest

from signaling.domain.errors import DomainError, ErrorCode
from signaling.domain.session import COMMANDS, REQUESTS
from signaling.protocol import client_messages
from signaling.protocol.client_messages import Bye, Hello, Request
from tests.domain_room import Room, limits_with


def test_every_message_is_a_first_one_or_has_a_handler():
    types = {
        one
        for one in vars(client_messages).values()
        if isinstance(one, type) and issubclass(one, Request) and one is not Request
    }
    assert types == {Hello, *REQUESTS}
    assert not types & set(COMMANDS)


@pytest.mark.parametrize("kind", REQUESTS, ids=lambda kind: kind.__name__)
def test_a_message_without_a_turn_is_refused_before_its_handler_sees_it(kind):
    room = Room()
    room.join("ann")
    member = room.state.connections["ann"]
    member.requests.tokens = 0.0
    # Its values are none that a handler could take: nobody looks at them.
    message = kind(**dict.fromkeys(kind.__struct_fields__))
    before = copy.deepcopy(room.state)
    with pytest.raises(DomainError) as refused:
        room.ask("ann", message)
    assert refused.value.code is ErrorCode.RATE_LIMITED
    assert room.state == before


def test_who_joins_and_leaves_without_end_is_refused_at_the_door():
    """Of those who leave nobody is left to pay for what others are told of it."""
    room = Room(limits=limits_with(joins_per_token_per_min=5))
    for number in range(5):
        room.join(f"c{number}", token=b"t")
        room.ask(f"c{number}", Bye(id=1))
    with pytest.raises(DomainError) as refused:
        room.join("c5", token=b"t")
    assert refused.value.code is ErrorCode.RATE_LIMITED
    assert room.state.connections == {}
