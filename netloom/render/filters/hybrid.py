"""Security groups by iptables, on a Linux bridge of each instance's own between it and Open vSwitch.

    instance ── tap ── qbr ── qvb ═══ qvo ── br-int          as Nova plugs it, all named by the port's id

Chains are named by the port's id, as Neutron's are, and sets by the group's; connections of each port are in a zone of
its own. Open vSwitch still looks at MAC addresses, ARP and ND, and answers; it leaves the rules to iptables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from zlib import crc32

from netloom.model.address import ip_version
from netloom.model.facts import HostFacts
from netloom.model.filter import IpSet, IptablesChain, Member
from netloom.model.flow import Action, Flow, Goto
from netloom.model.plan import Thing
from netloom.model.slices import PortRow, Row, Slices
from netloom.model.why import HOST, Why
from netloom.render import registers as reg
from netloom.render.bridges.logs import SILENT, Logging, make_logging
from netloom.render.filters.iptables_rules import (
    FALLBACK,
    PREFIX,
    chain_name,
    find_prefixes,
    render_egress,
    render_ingress,
    render_sources,
    set_name,
    skip_tracking,
)
from netloom.render.filters.nft_sets import BUCKETS, Dialect, Owners, SetBook, explain_rows
from netloom.render.filters.zones import number_zones
from netloom.render.flows.groups import (
    DHCP_ANSWERS,
    DHCP_ASKS,
    Combination,
    find_ids,
    find_rules,
    find_sets,
    make_combinations,
)
from netloom.render.flows.ports import is_trusted
from netloom.render.pipeline import DELIVER, EGRESS, INGRESS_FILTER, SERVICES
from netloom.render.same import Same
from netloom.render.scene import Plugged

VERSIONS = (4, 6)
BY_ID = 11
"""How much of a port's id stands in the names of its devices."""
INSTEAD = {EGRESS: SERVICES, INGRESS_FILTER: DELIVER}
"""Where packets go that would go to rules."""


def is_hybrid(plugged: Plugged, facts: HostFacts) -> bool:
    """Whether the port's rules are kept on a bridge of its own: the host does so, and it was plugged so."""
    held = facts.interfaces.get(plugged.port.id)
    return facts.hybrid and held is not None and held.name.startswith("qvo") and not plugged.port.parent_id


def skip_rules(flows: Iterable[Flow]) -> tuple[Flow, ...]:
    """The flows of a port whose rules are kept elsewhere."""
    return tuple(replace(flow, actions=tuple(map(skip_action, flow.actions))) for flow in flows)


def skip_action(action: Action) -> Action:
    return Goto(INSTEAD[action.table]) if isinstance(action, Goto) and action.table in INSTEAD else action


# -- what iptables holds -----------------------------------------------------------------------------------------------


class HybridBook:
    """Remembers what came of which port, so that one that did not change is not compiled again."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[object, tuple[Thing, ...]]] = {}
        self._sets = SetBook(IPSET)
        self._named: frozenset[str] = frozenset()

    def render(self, plugged: Iterable[Plugged], slices: Slices, facts: HostFacts) -> dict[str, tuple[Thing, ...]]:
        """Nothing where the host does not keep rules so. All but the members of sets."""
        self._named = frozenset()
        if not facts.hybrid:
            return {}
        hybrid = sorted((one for one in plugged if is_hybrid(one, facts)), key=lambda one: one.port.id)
        guarded = [one for one in hybrid if not is_trusted(one.port)]
        combinations = make_combinations({find_ids(one.port) for one in guarded}, slices)
        groups = {"hybrid": tuple(render_frame([one.port for one in hybrid]))}
        held: dict[str, tuple[object, tuple[Thing, ...]]] = {}

        def keep(name: str, key: tuple[object, ...], make: Callable[[], Iterable[Thing]]) -> None:
            before = self._held.get(name)
            held[name] = before if before is not None and before[0] == key else (key, tuple(make()))
            groups[name] = held[name][1]

        for found in guarded:
            port, one = found.port, combinations[find_ids(found.port)]
            logging = make_logging(found) if port.logs else SILENT
            key = (port, port.revision, tuple(map(Same, one.groups)), one.number, logging)
            keep(f"hybrid/{port.id}", key, partial(render_port, port, one, logging))
        self._named = frozenset(remote for one in combinations.values() for remote in find_sets(one))
        self._held = held
        return groups

    def render_sets(self, slices: Slices) -> dict[str, tuple[Thing, ...]]:
        """The sets that the rules rendered last name."""
        self._sets.update(slices, self._named)
        return self._sets.groups


def chain(version: int, table: str, name: str, rules: Iterable[str], why: Why) -> Thing:
    return Thing(("iptables", version, table, name), IptablesChain(tuple(rules)), why)


def render_frame(ports: list[PortRow]) -> Iterator[Thing]:
    """The chains that lead to those of ports, and the zones of their connections."""
    zones = number_zones(port.id for port in ports)
    for version in VERSIONS:
        for built_in in ("FORWARD", "INPUT"):
            yield chain(version, "filter", built_in, (f"-j {PREFIX}{built_in}",), HOST)
        yield chain(version, "filter", f"{PREFIX}FORWARD", find_forward(ports), HOST)
        yield chain(version, "filter", f"{PREFIX}INPUT", find_input(ports), HOST)
        yield chain(version, "filter", f"{PREFIX}sg-chain", find_chains(ports), HOST)
        yield chain(version, "filter", FALLBACK, ("-j DROP",), HOST)
        yield chain(version, "raw", "PREROUTING", (f"-j {PREFIX}PREROUTING",), HOST)
        yield chain(version, "raw", f"{PREFIX}PREROUTING", find_zones(zones, version), HOST)


def device(kind: str, port_id: str) -> str:
    return f"{kind}{port_id[:BY_ID]}"


def physdev(way: str, port_id: str) -> str:
    return f"-m physdev --physdev-{way} {device('tap', port_id)} --physdev-is-bridged"


def find_forward(ports: Iterable[PortRow]) -> Iterator[str]:
    for port in ports:
        to = "ACCEPT" if is_trusted(port) else f"{PREFIX}sg-chain"
        yield from (f"{physdev(way, port.id)} -j {to}" for way in ("out", "in"))


def find_input(ports: Iterable[PortRow]) -> Iterator[str]:
    """What an instance says to the host itself."""
    return (f"{physdev('in', port.id)} -j {chain_name('o', port.id)}" for port in ports if not is_trusted(port))


def find_chains(ports: Iterable[PortRow]) -> Iterator[str]:
    for port in ports:
        if not is_trusted(port):
            yield f"{physdev('out', port.id)} -j {chain_name('i', port.id)}"
            yield f"{physdev('in', port.id)} -j {chain_name('o', port.id)}"
    yield "-j ACCEPT"


def find_zones(zones: dict[str, int], version: int) -> Iterator[str]:
    """Of what an instance sends, and of what the switch sends to it."""
    for port_id, zone in zones.items():
        for kind, dhcp in (("qvb", DHCP_ANSWERS), ("tap", DHCP_ASKS)):
            yield from skip_tracking(version, dhcp, device(kind, port_id))
            yield f"-m physdev --physdev-in {device(kind, port_id)} -j CT --zone {zone}"


def render_port(port: PortRow, combination: Combination, logging: Logging = SILENT) -> Iterator[Thing]:
    """The chains of a port with port security."""
    ids = (f"port/{port.id}", *(group.name for group in combination.groups))
    why = Why(max(port.revision, *(group.revision for group in combination.groups), 0), ids, "hybrid.render_port")
    rules = [rule for rule, _ in find_rules(combination)]
    stateful = not combination.number & reg.STATELESS
    for version in VERSIONS:
        ingress = render_ingress(rules, version, stateful, logging)
        egress = render_egress(rules, port, version, stateful, logging)
        yield chain(version, "filter", chain_name("i", port.id), ingress, why)
        yield chain(version, "filter", chain_name("o", port.id), egress, why)
        yield chain(version, "filter", chain_name("s", port.id), render_sources(port, version), why)


def render_head(remote: str, owners: Owners) -> Iterator[Thing]:
    """The sets of a group or an address group, in both IP versions; one that is not known yet is empty (law 4)."""
    why = Why(0, (remote,), "hybrid.render_head")
    return (Thing(("ipset", set_name(remote, version)), IpSet(version), why) for version in VERSIONS)


def render_member(remote: str, text: str, rows: dict[str, Row]) -> Iterator[Thing]:
    version, why = ip_version(text), explain_rows(remote, rows, "hybrid.render_member")
    for prefix in find_prefixes([text], version):
        yield Thing(("ipset_member", set_name(remote, version), prefix), Member(), why)


IPSET = Dialect(lambda text: crc32(text.encode()) % BUCKETS, render_head, render_member, "ipset")
