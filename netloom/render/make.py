"""How flows become things: their key, the cookie that names their slice, and their reason."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from netloom.model.device import FlowBody
from netloom.model.flow import COOKIE_MAGIC, Action, Flow, Match
from netloom.model.plan import Thing
from netloom.model.why import Why


def make_cookie(slice: str) -> int:
    """Our mark, and 48 bits that say which slice a flow is from."""
    return COOKIE_MAGIC | int.from_bytes(blake2b(slice.encode(), digest_size=6).digest(), "big")


def make_flow(
    bridge: str, table: int, priority: int, match: Match, actions: Iterable[Action], cookie: int, why: Why
) -> Flow:
    return Flow(bridge, table, priority, match, tuple(actions), cookie, why)


def make_thing(flow: Flow) -> Thing:
    key = ("flow", flow.bridge, flow.table, flow.priority, flow.match)
    return Thing(key, FlowBody(flow.cookie, flow.actions), flow.why)
