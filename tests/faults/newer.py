"""`netloom` as a later version may be: more is in each message of the feed and of the wire between servers, and the
feed's version is another. `python -m tests.faults.newer server …`."""

from __future__ import annotations

from typing import Any

import msgspec

import netloom
from netloom.feed import codec, messages
from netloom.main.servers import peers

LATER = {"a_later_word": {"of": ["any", "kind"]}}
VERSION = messages.VERSION + 1


def add_words(encode: Any) -> Any:
    """Messages with an attribute that this version does not know, in front of the others."""

    def encode_more(message: messages.Message) -> bytes:
        found = msgspec.msgpack.decode(encode(message))
        if "version" in found:
            found["version"] = VERSION
        return msgspec.msgpack.encode({**LATER, **found})

    return encode_more


def add_element(encode: Any) -> Any:
    """What is sent by place has one more place."""

    def encode_more(value: Any) -> bytes:
        found = msgspec.msgpack.decode(encode(value))
        return msgspec.msgpack.encode([*found, LATER] if isinstance(value, msgspec.Struct) else found)

    return encode_more


def become_newer() -> None:
    netloom.__version__ = "99.0"
    messages.encode_message = add_words(messages.encode_message)
    vars(codec)["encode_message"] = messages.encode_message
    peers.ENCODE = add_element(peers.ENCODE)


if __name__ == "__main__":
    become_newer()
    from netloom.main.cli import main

    main()
