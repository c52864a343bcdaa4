"""What security groups let through, said twice: by all the stages in the simulator, and by reading what the API holds.

The reader below knows nothing of slices, flows and numbers of protocols in flows: it asks each rule of each group.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.intent.schema import Doc
from netloom.testing.simulator import send
from netloom.testing.story_cloud import Cloud
from netloom.testing.story_packets import make_packet
from netloom.testing.story_traffic import make_answer
from tests.examples import count_examples

PORTS = ("a", "b", "c")
GROUPS = ("x", "y")
NUMBERS = {"tcp": 6, "udp": 17, "icmp": 1, "ipv6-icmp": 58, "sctp": 132, "gre": 47}
TRIES = ("tcp 80", "tcp 443", "tcp 1030", "udp 80", "sctp 80", "ping", "protocol 47")

Rule = dict[str, Any]


def make_rule(group: str, direction: str, ethertype: str, what: tuple[Any, ...], remote: tuple[str, str]) -> Rule:
    protocol, first, last = what
    rule: Rule = {"security_group_id": group, "direction": direction, "ethertype": ethertype}
    if protocol == "icmp" and ethertype == "IPv6" and first is not None:
        first = 128
    rule |= {"protocol": protocol, "port_range_min": first, "port_range_max": last}
    kind, value = remote
    if kind == "remote_ip_prefix":
        value = value if ethertype == "IPv4" else {"10.1.0.0/28": "2001:db8::/124", "10.1.0.6/32": "2001:db8::6"}[value]
    return {**rule, kind: value} if kind else rule


whats = st.sampled_from(
    (
        (None, None, None), ("tcp", None, None), ("tcp", 80, 80), ("tcp", 70, 1031), ("udp", 53, 100),
        ("icmp", None, None), ("icmp", 8, None), ("icmp", 8, 0), ("sctp", 80, 81),
        ("47", None, None), (0, None, None), ("6", 443, 443),
    )
)  # fmt: skip
remotes = st.sampled_from(
    (
        ("", ""), ("remote_ip_prefix", "10.1.0.0/28"), ("remote_ip_prefix", "10.1.0.6/32"), ("remote_group_id", "x"),
        ("remote_group_id", "y"), ("remote_address_group_id", "near"),
    )
)  # fmt: skip
rule_sets = st.lists(
    st.builds(
        make_rule, st.sampled_from(GROUPS), st.sampled_from(("ingress", "egress", "egress")),
        st.sampled_from(("IPv4", "IPv6")), whats, remotes,
    ),
    max_size=8,
)  # fmt: skip
memberships = st.lists(st.sampled_from(((), ("x",), ("y",), GROUPS)), min_size=3, max_size=3)


def make_cloud(rules: list[Rule], groups: list[tuple[str, ...]], stateful: bool) -> Cloud:
    """Three ports on two hosts, in groups with these rules; what the API refuses is left out."""
    cloud = Cloud()
    cloud.tell_host("h1", [])
    cloud.tell_host("h2", [])
    cloud.create("network", "n", [])
    cloud.create("subnet", "n4", ["network_id=n", "cidr=10.1.0.0/24"])
    cloud.create("subnet", "n6", ["network_id=n", "cidr=2001:db8::/64"])
    cloud.create("address_group", "near", ["addresses=[10.1.0.4/31, 2001:db8::6/128]"])
    for name in GROUPS:
        cloud.create("security_group", name, [f"stateful={str(stateful).lower()}"])
        for id in list(cloud.snapshot.find_ids("security_group_rule", "security_group_id", cloud.find_id(name))):
            cloud.names["it"] = "security_group_rule", id
            cloud.delete("it")
    for number, rule in enumerate(rules):
        words = [f"{key}={value}" for key, value in rule.items() if value is not None]
        try:
            cloud.create("security_group_rule", f"r{number}", words)
        except Exception as error:  # twice the same rule
            assert getattr(error, "type", "") == "SecurityGroupRuleExists", (words, error)
    for number, (name, held) in enumerate(zip(PORTS, groups, strict=True)):
        ips = f"fixed_ips=[{{ip_address: 10.1.0.{5 + number}}}, {{ip_address: 2001:db8::{5 + number}}}]"
        host = f"binding:host_id=h{1 + number % 2}"
        cloud.create("port", name, ["network_id=n", ips, host, f"security_groups=[{', '.join(held)}]"])
    return cloud


def may_pass(cloud: Cloud, name: str, direction: str, packet: Mapping[str, int]) -> bool:
    """Whether a rule of one of the port's groups says so."""
    port = cloud.snapshot.get("port", cloud.find_id(name))
    assert port is not None
    rules = (
        rule
        for group in port["security_groups"]
        for rule in cloud.snapshot.find("security_group_rule", "security_group_id", group)
    )
    return any(allows(cloud, rule, direction, packet) for rule in rules)


def allows(cloud: Cloud, rule: Doc, direction: str, packet: Mapping[str, int]) -> bool:
    version = 4 if packet["eth_type"] == 0x0800 else 6
    if rule["direction"] != direction or rule["ethertype"] != f"IPv{version}":
        return False
    field = (
        ("ip_src" if version == 4 else "ipv6_src")
        if direction == "ingress"
        else "ip_dst"
        if version == 4
        else "ipv6_dst"
    )
    far = ip_address(packet[field].to_bytes(4 if version == 4 else 16, "big"))
    return is_protocol(rule, packet) and any(far in ip_network(net, strict=False) for net in find_remotes(cloud, rule))


def is_protocol(rule: Doc, packet: Mapping[str, int]) -> bool:
    protocol = rule["protocol"]
    number = 0 if protocol is None else NUMBERS[protocol] if protocol in NUMBERS else int(protocol)
    if number == 0:
        return True
    low, high = rule["port_range_min"], rule["port_range_max"]
    if packet["ip_proto"] != number or low is None:
        return packet["ip_proto"] == number
    if number in (1, 58):
        kind = "icmp" if number == 1 else "icmpv6"
        return packet[f"{kind}_type"] == low and high in (None, packet[f"{kind}_code"])
    name = {6: "tcp", 17: "udp", 132: "sctp"}[number]
    return bool(low <= packet[f"{name}_dst"] <= high)


def find_remotes(cloud: Cloud, rule: Doc) -> list[str]:
    if rule["remote_group_id"]:
        ports = cloud.snapshot.docs("port")
        return [
            f["ip_address"] for p in ports if rule["remote_group_id"] in p["security_groups"] for f in p["fixed_ips"]
        ]
    if rule["remote_address_group_id"]:
        found = cloud.snapshot.get("address_group", rule["remote_address_group_id"])
        return list(found["addresses"]) if found else []
    return [rule["remote_ip_prefix"]] if rule["remote_ip_prefix"] else ["0.0.0.0/0", "::/0"]


tries = st.lists(
    st.tuples(st.sampled_from((("a", "b"), ("a", "c"), ("c", "a"))), st.sampled_from(TRIES), st.booleans()),
    min_size=4, max_size=12, unique=True,
)  # fmt: skip


@settings(max_examples=count_examples(40), deadline=None)
@given(rule_sets, memberships, st.booleans(), tries)
def test_all_the_stages_let_through_what_the_documents_say(
    rules: list[Rule], groups: list[tuple[str, ...]], stateful: bool, tried: list[tuple[tuple[str, str], str, bool]]
) -> None:
    """A packet passes if a rule lets it out and another in; an answer passes too, of itself or with its connection."""
    cloud = make_cloud(rules, groups, stateful)
    hosts = cloud.simulate()
    for (name, other), said, is_v6 in tried:
        for host in cloud.hosts.values():
            host.connections.held.clear()
        words = f"{said} to {other}{' over ipv6' if is_v6 else ''}"
        packet = make_packet(cloud, cloud.port(name), words.split())
        passes = may_pass(cloud, name, "egress", packet) and may_pass(cloud, other, "ingress", packet)
        walk = send(hosts, cloud.host_of(name), f"tap-{name}", packet)
        assert walk.devices == ({f"tap-{other}"} if passes else set()), (words, walk.describe())
        if passes:
            answer = make_answer(packet)
            back = may_pass(cloud, other, "egress", answer) and may_pass(cloud, name, "ingress", answer)
            walk = send(hosts, cloud.host_of(other), f"tap-{other}", answer)
            assert walk.devices == ({f"tap-{name}"} if stateful or back else set()), walk.describe()
