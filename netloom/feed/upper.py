"""What a host and a relay take alike from whoever serves them; the rest each sees to itself.

Law: who serves says of itself which version it is; what it could not make sense of it is not sent.
"""

from __future__ import annotations

from collections.abc import Callable

from netloom.feed import messages as m
from netloom.feed.copies import Copies
from netloom.feed.papers import Renewal

OwnMessage = m.Welcome | m.At | m.Admitted | m.Dismissed | m.JoinedFor | m.Due


class Upper:
    """Of one end. `send`: a message to who serves, now or never. `version`: that of who serves now, once it is known.

    `said`: of each host, its word as it was sent on this connection, so that only what differs is sent again.
    """

    def __init__(
        self,
        copies: Copies,
        renewal: Renewal,
        send: Callable[[m.Message], None],
        on_joined: Callable[[m.Joined], None] | None,
    ) -> None:
        self.version = 1
        self.said: dict[str, m.Ack] = {}
        self._copies, self._renewal = copies, renewal
        self._send, self.on_joined = send, on_joined

    def begin(self) -> None:
        """Another connection: an answer to the last one's question will not come by this one."""
        self._copies.asked.clear()
        self._copies.told.clear()
        self._copies.half = False
        self.said.clear()
        self.version = 1

    def take(self, message: m.FromServer) -> OwnMessage | None:
        """See to a message; gives those that each end sees to itself. Raises MessageError where it is refused."""
        match message:
            case m.Welcome():
                self.version = message.version
                self._renewal.hear(message)
                return message
            case m.At():
                self._copies.take(message)
                return message
            case m.Admitted() | m.Dismissed() | m.JoinedFor() | m.Due():
                return message
            case m.Joined():
                if self.on_joined is not None:
                    self.on_joined(message)
            case m.Refuse():
                raise m.MessageError(f"the server refuses: {message.reason}")
            case m.Ping():
                self._renewal.hear(message)
                self._send(m.Pong())
            case _:
                self._copies.take(message)
        return None

    def is_repeated(self, host: str, ack: m.Ack) -> bool:
        """Whether who serves can be told that the host says what it said before, and has it said from now on."""
        before = self.said.get(host)
        self.said[host] = ack
        return self.version >= m.REPEATS and before is not None and m.says_the_same(before, ack)
