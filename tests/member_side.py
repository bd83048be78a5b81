"""A member service that does what a test says: its lines, as text, both ways."""

from sfu.egress import member_lines as wire
from signaling.egress.members import Member, Members, MemberSocket


class FakeMember:
    """`lines`: what the server has said to it, in order."""

    def __init__(
        self, members: Members, project: str, now_s=lambda: 0.0, features=("archive",)
    ) -> None:
        self.lines: list[wire.ToMember] = []
        self.is_closed = False
        self._members = members
        self._now_s = now_s
        socket = MemberSocket(
            lambda text: self.lines.append(wire.read_to_member(text)), self._close
        )
        self.member = Member(project, features, socket, now_s())
        members.register(self.member)

    def _close(self) -> None:
        self.is_closed = True

    def say(self, line) -> None:
        """As text, over the wire."""
        self.member.handle(wire.encode(line), self._now_s())

    def leave(self) -> None:
        self._members.remove(self.member)

    def lines_of(self, kind: type) -> list:
        return [one for one in self.lines if isinstance(one, kind)]
