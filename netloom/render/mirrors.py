"""Taps on this host: mirrors of the switch, tunnels that take copies elsewhere, and copies that come from there.

A mirror copies what a device sends before any flow sees it, so also what the guard then drops; and what a device gets.
A subport has no device: its frames are those of its parent's device under its tag, and copies keep the tag. A mirror of
the parent copies what all its subports send and get.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

from netloom.model.device import Mirror, SwitchPort, make_pairs
from netloom.model.facts import HostFacts
from netloom.model.flow import Output, make_match
from netloom.model.plan import Thing
from netloom.model.slices import MirrorRow, PortRow, SinkRow, Slice, Slices
from netloom.model.why import Why
from netloom.render.make import make_cookie, make_flow, make_thing
from netloom.render.pipeline import CLASSIFY

SENT, RECEIVED = "OUT", "IN"


def render_mirrors(slices: Slices, facts: HostFacts) -> Iterator[Thing]:
    """All that taps need here; nothing for one whose ports have no device yet."""
    own = slices.get(f"host/{facts.host}")
    rows = sorted(own.rows.items()) if own else []
    for _, row in rows:
        if isinstance(row, MirrorRow):
            yield from render_mirror(row, facts, own)
        elif isinstance(row, SinkRow):
            yield from render_sink(row, facts)


def find_device(port_id: str, facts: HostFacts) -> str:
    held = facts.interfaces.get(port_id)
    return held.name if held is not None and held.ofport > 0 else ""


def find_seat(port_id: str, own: Slice | None) -> tuple[str, int]:
    """The port whose device carries the port, and the tag there: 0 for a port with a device of its own."""
    port = own.rows.get(f"port/{port_id}") if own else None
    return (port.parent_id, port.vlan) if isinstance(port, PortRow) and port.parent_id else (port_id, 0)


def render_mirror(row: MirrorRow, facts: HostFacts, own: Slice | None = None) -> Iterator[Thing]:
    seat, tag = find_seat(row.port_id, own)
    source, bridge = find_device(seat, facts), facts.integration_bridge
    vlans = (tag,) if tag else tuple(read_vlans(row.vlans))
    why = Why(row.revision, (f"tap/{row.id}", f"port/{row.port_id}"), "mirrors.render_mirror")
    if not source:
        return
    for key in dict.fromkeys(key for _, key in row.directions):
        names = {name for name, number in row.directions if number == key}
        if row.kind == "port":
            output = find_device(row.target_id, facts)
        else:
            output = tunnel_name(row.id, key)
            yield from make_tunnel(row, key, facts, why)
        if output and (row.kind == "port" or row.remote_ip):
            sent, received = ((source,) if way in names else () for way in (SENT, RECEIVED))
            mirror = Mirror(sent, received, output, vlans)
            yield Thing(("mirror", bridge, f"nl-{row.id}-{key:x}"), mirror, why)


def tunnel_name(id: str, key: int) -> str:
    """A device's name has 15 characters."""
    return "nlm" + blake2b(f"{id}/{key}".encode(), digest_size=6).hexdigest()


def make_tunnel(row: MirrorRow, key: int, facts: HostFacts, why: Why) -> Iterator[Thing]:
    if not row.remote_ip:
        return
    options = {"remote_ip": row.remote_ip, "key": str(key)}
    if facts.tunnel_ip:
        options["local_ip"] = facts.tunnel_ip
    kind = "gre"
    if row.kind == "erspanv1":
        kind, options = "erspan", {**options, "erspan_ver": "1", "erspan_idx": "0"}
    port = SwitchPort(kind, make_pairs(**options))
    yield Thing(("switch_port", facts.integration_bridge, tunnel_name(row.id, key)), port, why)


def render_sink(row: SinkRow, facts: HostFacts) -> Iterator[Thing]:
    """Copies from another host go straight to the port that wants them: they are of no network here."""
    if not row.remote_ip:
        return
    why = Why(row.revision, (f"tap/{row.id}", f"port/{row.port_id}"), "mirrors.render_sink")
    name, bridge = tunnel_name(row.id, row.key), facts.integration_bridge
    options = make_pairs(remote_ip=row.remote_ip, local_ip=facts.tunnel_ip, key=str(row.key))
    yield Thing(("switch_port", bridge, name), SwitchPort("gre", options), why)
    ofport, held = facts.ofports.get((bridge, name), 0), facts.interfaces.get(row.port_id)
    if ofport > 0 and held is not None and held.ofport > 0:
        match = make_match(in_port=ofport)
        cookie = make_cookie(f"host/{facts.host}")
        yield make_thing(make_flow(bridge, CLASSIFY, 100, match, (Output(held.ofport),), cookie, why))


def read_vlans(text: str) -> list[int]:
    """The tags of a filter such as "1-3,9"."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.strip().partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return sorted(found)
