"""The demo tries what should pass and what should not; the lab speaks to the API as a user."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import httpx
import pytest

from netloom.lab import client as clients
from netloom.lab.boot import choose_address, describe_wait
from netloom.lab.client import Client
from netloom.lab.cloud import Shape, find_programs, plan_hosts, render_agent_config, render_server_config
from netloom.lab.demo import INSTANCES, Trial, plan_trials, trial_row
from netloom.lab.demo_routed import plan_routed
from netloom.lab.instances import find_inside, parse_ping
from netloom.lab.shell import LabError
from netloom.lab.show import make_console, make_table
from netloom.lab.state import HYBRID, LINUXBRIDGE, OPENVSWITCH, Host, Instance, Lab, Place
from netloom.main.options.host import load_host_options
from netloom.main.options.server import load_server_options


def instance(name: str, host: str, number: int, v6: str) -> Instance:
    return Instance(name, host, name.rstrip("123"), "", "", "", (f"10.0.0.{number}", f"fd00:b::{v6}"))


MADE = [
    instance("blue1", "h1", 2, "b1"),
    instance("blue2", "h2", 3, "b2"),
    instance("blue3", "h3", 4, "b3"),
    instance("red1", "h1", 2, "2"),
    instance("red2", "h2", 3, "3"),
]


def test_the_demo_tries_both_ways_in_both_families() -> None:
    """Pings within a network cross hosts; the others go to addresses that only the other network uses."""
    by_name = {made.name: made for made in MADE}
    trials = plan_trials(MADE)
    own = {
        made.network: {a for other in MADE if other.network == made.network for a in other.addresses} for made in MADE
    }
    for trial in trials:
        assert (trial.address in own[by_name[trial.source].network]) == trial.should_pass
    assert {(t.should_pass, ":" in t.address) for t in trials} == {(p, f) for p in (True, False) for f in (True, False)}
    hosts = {asked.name: asked.host for asked in INSTANCES}
    assert {name: made.host for name, made in by_name.items()} == hosts


def test_networks_that_cannot_be_told_apart_are_no_demo() -> None:
    """If both networks use just the same addresses, nothing would be shown."""
    with pytest.raises(LabError, match="the same addresses only"):
        plan_trials([replace(made, addresses=MADE[0].addresses) for made in MADE])


def test_right_and_wrong() -> None:
    """A ping that should not pass is right when nobody answers."""
    assert Trial("a", "x", False, "", 0).right and Trial("a", "x", True, "", 1).right
    assert not Trial("a", "x", False, "", 1).right and not Trial("a", "x", True, "", 0).right


def test_addresses_by_family() -> None:
    """The first address, or the first of the family asked for."""
    assert (choose_address(MADE[0]), choose_address(MADE[0], 6)) == ("10.0.0.2", "fd00:b::b1")
    with pytest.raises(LabError, match="no IPv6 address"):
        choose_address(Instance("a", "h1", "n", "", addresses=("10.0.0.2",)), 6)


PING = """PING 10.0.0.3 (10.0.0.3) 56(84) bytes of data.

--- 10.0.0.3 ping statistics ---
3 packets transmitted, 2 received, 33.3333% packet loss, time 404ms
rtt min/avg/max/mdev = 0.351/0.510/0.669/0.159 ms
"""


def test_pings_summary_is_read() -> None:
    """Answers and average time of iputils' ping."""
    assert parse_ping(PING) == (2, 0.51)
    assert parse_ping("") == (0, None)


def test_the_lab_writes_options_that_are_allowed(tmp_path: Path) -> None:
    """The configuration of the lab's server and agents is read without an error or a note."""
    place, host = Place(tmp_path), Host("h2", 2, True)
    place.host("h2").mkdir(parents=True)
    server, agent = tmp_path / "s.conf", tmp_path / "a.conf"
    server.write_text(render_server_config(Lab(api_url="http://127.0.0.1:9701"), place))
    agent.write_text(render_agent_config(place, host))
    options, own = load_server_options([server]), load_host_options([agent])
    assert (options.bind_port, options.feed_listen, options.state_path) == (9701, (own.feed_server,), place.server)
    assert (own.host, own.local_ip, own.datapath_type) == ("h2", "10.99.0.2", "netdev")
    assert own.bridge_mappings == {"physnet1": "br-ex"}
    assert (options.notes, own.notes) == ((), ())
    assert not own.hybrid


@pytest.mark.parametrize(
    ("host", "switch", "hybrid", "mappings"),
    [
        (Host("h2", 2, True, OPENVSWITCH, HYBRID), OPENVSWITCH, True, {"physnet1": "br-ex"}),
        (Host("h2", 2, True, LINUXBRIDGE), LINUXBRIDGE, False, {"physnet1": "eth1"}),
        (Host("h2", 2, False, LINUXBRIDGE, HYBRID), LINUXBRIDGE, False, {}),
    ],
)
def test_every_kind_of_host_is_told_what_it_is(
    tmp_path: Path, host: Host, switch: str, hybrid: bool, mappings: dict[str, str]
) -> None:
    """Each way of switching has its own options, and all of them have the address of their tunnels."""
    file = tmp_path / "a.conf"
    file.write_text(render_agent_config(Place(tmp_path), host))
    own = load_host_options([file])
    assert (own.switch, own.hybrid, own.bridge_mappings, own.local_ip) == (switch, hybrid, mappings, "10.99.0.2")
    assert (own.datapath_type, own.notes) == ("netdev", ())


def test_the_last_hosts_have_linux_bridges() -> None:
    """Of three hosts with one of bridges and iptables before the switch, the first two have iptables."""
    made = plan_hosts(Shape(3, 1, firewall=HYBRID))
    assert [(host.name, host.bridges, host.hybrid) for host in made] == [
        ("h1", False, True), ("h2", False, True), ("h3", True, False),
    ]  # fmt: skip


def test_what_a_lab_runs_must_be_there() -> None:
    """iptables and ipset for hosts that have them, dnsmasq for servers of their own, and neither where nobody asks."""
    plain, hybrid, served = Shape(), Shape(firewall=HYBRID), Shape(server_options=("dhcp_driver=dnsmasq",))
    found = [set(find_programs(shape, plan_hosts(shape))) for shape in (plain, hybrid, served)]
    assert [one - found[0] for one in found] == [set(), {"iptables-save", "ipset"}, {"dnsmasq"}]


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (Shape(0), "--hosts 0"),
        (Shape(2, 3), "--bridge-hosts 3: allowed are 0 to 2"),
        (Shape(firewall="none"), "--firewall-driver none"),
        (Shape(host_options=("debug",)), "section.name=value"),
    ],
)
def test_a_lab_that_cannot_be_is_refused_before_anything_is_made(shape: Shape, words: str) -> None:
    """What was asked for wrongly is said in a sentence."""
    with pytest.raises(LabError, match=words):
        plan_hosts(shape)


CLOUDS = """
clouds:
  netloom:
    auth: {auth_url: "http://k/identity", username: admin, password: p, project_name: admin}
"""


def answer(request: httpx.Request) -> httpx.Response:
    """A server with two networks called twin."""
    if request.url.path == "/identity/v3/auth/tokens":
        assert json.loads(request.content)["auth"]["identity"]["password"]["user"]["name"] == "admin"
        endpoints = [{"interface": "public", "url": "http://n:9696"}]
        catalog = [{"type": "network", "endpoints": endpoints}]
        return httpx.Response(201, headers={"X-Subject-Token": "t0k"}, json={"token": {"catalog": catalog}})
    if request.headers["X-Auth-Token"] != "t0k":
        return httpx.Response(401, text="who?")
    if request.method == "POST":
        return httpx.Response(409, json={"NeutronError": {"type": "X", "message": "no more", "detail": ""}})
    twins = [{"id": "1", "name": "twin"}, {"id": "2", "name": "twin"}]
    wanted = dict(request.url.params)
    found = [n for n in twins if all(n.get(k) == v for k, v in wanted.items())]
    return httpx.Response(200, json={"networks": found})


def test_the_lab_logs_in_and_finds_by_name_or_id(tmp_path: Path) -> None:
    """Names that are missing or there twice are errors that say so; the API's own message is shown."""
    (tmp_path / "clouds.yaml").write_text(CLOUDS)
    auth = clients.read_cloud(tmp_path / "clouds.yaml", "netloom")
    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        token, url = clients.fetch_token(http, auth)
        http.headers["X-Auth-Token"], http.base_url = token, httpx.URL(url)
        client = Client(http)
        assert client.find("networks", "2")["id"] == "2"
        with pytest.raises(LabError, match="2 networks are 'twin'"):
            client.find("networks", "twin")
        with pytest.raises(LabError, match="there is no network 'none'"):
            client.find("networks", "none")
        with pytest.raises(LabError, match="409 no more"):
            client.create("networks", "network", name="x")
        http.headers["X-Auth-Token"] = "old"
        with pytest.raises(LabError, match="401 who"):
            client.list("networks")
    with pytest.raises(LabError, match="no cloud 'other'"):
        clients.read_cloud(tmp_path / "clouds.yaml", "other")


def test_tables_print_what_they_are_given() -> None:
    """An IPv6 address is shown as it is, whatever a terminal library takes its letters for."""
    with StringIO() as out:
        console = make_console(file=out, width=200)
        row = trial_row(Trial("red1", "fd00:b::f816", False, "that is [blue1]", 0))
        console.print(make_table("Pings", ("ping", "result", "because", ""), [row]))
        shown = out.getvalue()
    assert "red1 → fd00:b::f816" in shown and "that is [blue1]" in shown and "✓ right" in shown


def test_what_a_port_waits_for_is_shown() -> None:
    """A port that does not turn ACTIVE says what it waits for."""
    assert describe_wait({"status": "DOWN", "waits_for": "no device"}) == "it is DOWN and waits for: no device"


def test_the_demo_shows_a_router() -> None:
    """Between networks both ways, out, and in by the floating IP from the machine outside."""
    green = Instance("green1", "h2", "green", "", "", "", ("10.1.0.2",))
    lab = Lab(instances={made.name: made for made in (*MADE, green)})
    trials = [(trial.source, trial.address) for trial in plan_routed(lab, "203.0.113.9")]
    assert trials == [
        ("blue1", "10.1.0.2"), ("green1", "10.0.0.2"), ("green1", "203.0.113.1"), ("outside", "203.0.113.9"),
    ]  # fmt: skip
    assert find_inside(lab, "outside") == "nl-outside"
