"""How many of our own functions stand on the stack at the deepest moment of one request; in process, no socket."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from tests.unit.api.api_client import ADMIN, make_client


def is_ours(frame: FrameType) -> bool:
    """A comprehension is no function to its reader, and has no frame from Python 3.12 on."""
    return "/netloom/" in frame.f_code.co_filename and not frame.f_code.co_name.startswith("<listcomp")


def find_deepest() -> list[str]:
    """The names of the functions, from the outermost, for `POST /ports` with an address and a binding."""
    client = make_client(ADMIN)
    network = client.make("network")
    client.make("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
    deepest: list[str] = []

    def watch(frame: FrameType, event: str, value: Any) -> None:
        nonlocal deepest
        found, at = [], frame if event == "call" else None
        while at is not None:
            if is_ours(at):
                found.append(at.f_code.co_qualname)
            at = at.f_back
        if len(found) > len(deepest):
            deepest = found[::-1]

    sys.setprofile(watch)
    try:
        client.make("port", **{"network_id": network["id"], "binding:host_id": "h1"})
    finally:
        sys.setprofile(None)
    return deepest
