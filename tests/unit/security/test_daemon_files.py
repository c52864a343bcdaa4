"""What tenants write never becomes a line, an option or a word of its own in what daemons and devices are told."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from netloom.intent.snapshot import Change, Snapshot
from netloom.model.facts import HostFacts, Interface
from netloom.model.netns import DhcpServer
from netloom.model.plan import Key
from netloom.model.slices import FollowRow, PortRow, Row, Slice, find_reached
from netloom.reconcile.desired import merge_groups
from netloom.render.answers.scope import Settings
from netloom.render.dhcp_server import DhcpBook
from netloom.render.host import render_host
from netloom.render.scene import find_ports
from netloom.resolve.slices import SliceBook
from tests.examples import count_examples
from tests.unit.api.api_client import ADMIN, Client, Memory, make_client
from tests.unit.api.full_cloud import HOSTS, FullCloud

ORDER = "dhcp-script=/bin/sh"
"""What would be an order to dnsmasq, were it a line."""
TEXTS = [
    f"x\n{ORDER}", f"x\r\n{ORDER}", f"x\u2028{ORDER}", f"x,{ORDER}", "x,set:y", "x,10.0.0.9", '"', "'", "#", "\\n",
    "\0", "<project_id>", "a b", "é", "[::1]", "x\\", "option:router,10.0.0.9", "x" * 300, "", " ",
]  # fmt: skip
texts = st.sampled_from(TEXTS) | st.text(alphabet="ab1.-,=:#\"'\\\n\r\0 \u2028[]<>é", max_size=12)
ATTRIBUTES = st.sampled_from(
    ["port.name", "port.dns_name", "port.device_id", "port.opt_value", "port.opt_name", "network.dns_domain",
     "network.project_id", "subnet.name"]
)  # fmt: skip


def make_cloud(client: Client, given: dict[str, str]) -> str:
    """A network with a subnet and a port, with the texts where they are taken; the network's id."""

    def body(kind: str, **known: Any) -> dict[str, Any]:
        mine = {name.partition(".")[2]: text for name, text in given.items() if name.startswith(f"{kind}.")}
        option = {name: mine.pop(name) for name in ("opt_name", "opt_value") if name in mine}
        if option:
            known["extra_dhcp_opts"] = [{"opt_name": "ntp-server", "opt_value": "10.0.0.9", **option}]
        return {**known, **mine}

    network = make(client, "network", body("network"), {"name": "n", "dns_domain": "<project_id>.example."})["id"]
    four = {"network_id": network, "ip_version": 4, "cidr": "10.0.0.0/24"}
    make(client, "subnet", body("subnet", **four), {**four, "name": "s"})
    make(client, "port", body("port", network_id=network, dns_name="web"), {"network_id": network})
    return str(network)


def make(client: Client, kind: str, wanted: dict[str, Any], else_: dict[str, Any]) -> dict[str, Any]:
    """With the texts, or as `else_` says where they are refused."""
    for body in (wanted, {**wanted, **else_}, else_):
        reply = client.post(f"/v2.0/{kind}s", {kind: body})
        if reply.status == 201:
            made: dict[str, Any] = reply.json[kind]
            return made
        assert reply.status in (400, 409), reply.body
    raise AssertionError(kind)


def render_files(snapshot: Snapshot, network: str) -> DhcpServer:
    """What dnsmasq is told where this network has a DHCP server."""
    name = f"network/{network}"
    book = SliceBook(snapshot)
    found = book.follow(name)
    assert found is not None
    server = PortRow(
        "dhcp-port", network, "fa:16:3e:00:00:02", device_owner="network:dhcp", device_id=f"dhcp-{network}"
    )
    own: dict[str, Row] = {"port/dhcp-port": server, f"follow/{name}": FollowRow(name)}
    facts = HostFacts("h1", datapath_type="netdev")
    groups = DhcpBook(Settings()).render({"host/h1": Slice("host/h1", 1, own), name: found}, facts)
    files = [thing.value for things in groups.values() for thing in things if thing.key[0] == "dhcp_server"]
    assert len(files) == 1 and isinstance(files[0], DhcpServer)
    return files[0]


CONFIG = re.compile(
    r"(no-hosts|no-resolv|bind-dynamic|dhcp-authoritative|user=root|except-interface=lo|interface=ns-[\w-]+"
    r"|(pid-file|dhcp-hostsfile|dhcp-optsfile|addn-hosts|dhcp-leasefile)=[^\s,]+|dhcp-option-force=option:mtu,\d+"
    r"|domain=[a-z0-9.-]+|local=/[a-z0-9.-]+/|server=[0-9a-f.:]+|dhcp-range=set:subnet-[\w-]+,[^\s]+|dhcp-lease-max=\d+"
    r"|dhcp-mac=set:port-[\w-]+,[0-9a-f:]+)"
)
HOST = re.compile(r"[0-9a-f:]{17},(tag:dhcpv6,)?[a-z0-9.-]+,(\d+(\.\d+){3}|\[[0-9a-f:]+\])")
NAME = re.compile(r"[0-9a-f.:]+( [a-z0-9.-]+){1,2}")
OPTION = re.compile(r"tag:(subnet|port)-[\w-]+,(option6?:[\w-]+|\d+)(,[ -~]*)?")


def check_lines(text: str, line: re.Pattern[str]) -> None:
    # Every character that any reader of files takes for the end of a line.
    for one in text.splitlines():
        assert line.fullmatch(one), one


@settings(max_examples=count_examples(90), deadline=None)
@given(st.dictionaries(ATTRIBUTES, texts, min_size=1, max_size=4))
@example({"network.project_id": f"x\n{ORDER}"})
@example({"port.opt_value": f"10.0.0.9\n{ORDER}"})
@example({"port.opt_value": f"10.0.0.9\u2028{ORDER}"})
@example({"port.dns_name": f"web,{ORDER}"})
@example({"network.dns_domain": f"a.\n{ORDER}"})
@example({"port.dns_name": "<project_id>", "network.dns_domain": "<user_id>.a."})
def test_no_text_of_a_tenant_is_a_line_of_dnsmasq(given: dict[str, str]) -> None:
    """Names, DNS names and domains, DHCP options and project ids, each refused or one word where a word is meant."""
    memory = Memory()
    network = make_cloud(make_client(ADMIN, memory=memory), given)
    files = render_files(memory.snapshot, network)
    check_lines(files.config, CONFIG)
    check_lines(files.hosts, HOST)
    check_lines(files.names, NAME)
    check_lines(files.options, OPTION)
    assert files.config.count(ORDER) == files.hosts.count(ORDER) == files.names.count(ORDER) == 0


def render_all(snapshot: Snapshot) -> dict[tuple[str, Key], object]:
    """All that the hosts' devices should hold, but for why."""
    book = SliceBook(snapshot)
    found: dict[tuple[str, Key], object] = {}
    for host in HOSTS:
        slices = {name: part for name in find_reached(f"host/{host}", book.leads) if (part := book.follow(name))}
        ports = {port.id: Interface(f"tap{n}", n) for n, port in enumerate(find_ports(slices, host), 10)}
        facts = HostFacts(host, "192.0.2.1", ("vxlan",), interfaces=ports, datapath_type="netdev")
        state, clashes = merge_groups(render_host(slices, facts))
        assert not clashes
        found |= {(host, key): thing.value for key, thing in state.items()}
    return found


def test_names_and_descriptions_reach_no_device() -> None:
    """What tenants call their things is in no flow, rule, interface or file of any host."""
    cloud = FullCloud()
    cloud.do(cloud.admin, f"/v2.0/ports/{cloud.id('port')}", {"port": {"binding:host_id": "h1"}})
    before = cloud.memory.snapshot
    hostile = [
        Change(kind, id, {**record.doc, **{name: TEXTS[0] for name in ("name", "description") if name in record.doc}})
        for kind in before.catalog
        for id, record in before.records(kind).items()
        if kind not in ("network_segment_range", "agent")
    ]
    held = render_all(before)
    assert len(hostile) > 20 and len(held) > 200
    assert render_all(before.apply(hostile, before.revision)) == held
