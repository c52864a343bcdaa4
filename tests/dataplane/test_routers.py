"""Routers on real hosts, with traffic: a server, two agents with real switches, and a machine outside."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import run, wait_until
from tests.dataplane.rig import Instance, Rig
from tests.dataplane.rig_cloud import OUTSIDE, Cloud, make_cloud, pings, wait_ping
from tests.dataplane.settled import wait_planned, wait_quiet
from tests.dataplane.traffic import measure
from tests.dataplane.wire import Pinging

pytestmark = pytest.mark.dataplane


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    if reason := why_not():
        pytest.skip(reason)
    with make_cloud(2) as found:
        found.make_external()
        yield found


def make_side(cloud: Cloud, name: str, cidr: str, host: str, **given: Any) -> tuple[str, Instance]:
    """A network with one subnet and one instance: (subnet, instance)."""
    network = cloud.make_plain_network(name)
    subnet = cloud.make_subnet(network, cidr)
    gateway = cidr.replace("0/24", "1")
    return subnet, cloud.boot(host, network, gateway, **given)


def external(cloud: Cloud) -> str:
    return cloud.api.networks["outside"]


def find_host(cloud: Cloud, router: str) -> str:
    agents = cloud.api.ask("GET", f"routers/{router}/l3-agents")["agents"]
    return str(agents[0]["host"]) if agents else ""


def inside(cloud: Cloud, router: str, *command: str, host: str = "") -> str:
    rig = cloud.hosts[host or find_host(cloud, router)]
    return run("nsenter", f"--net={rig.host.rundir}/netns/qrouter-{router}", *command)


def drop_router(cloud: Cloud, router: str) -> None:
    api = cloud.api
    for fip in api.ask("GET", "floatingips?router_id=" + router)["floatingips"]:
        api.ask("DELETE", f"floatingips/{fip['id']}")
    api.ask("PUT", f"routers/{router}", {"router": {"routes": [], "external_gateway_info": {}}})
    for port in api.list_ports(device_id=router):
        if port["device_owner"].startswith("network:") and "ha_router_interface" not in port["device_owner"]:
            api.ask("PUT", f"routers/{router}/remove_router_interface", {"port_id": port["id"]})
    api.ask("DELETE", f"routers/{router}")


def has_space(rig: Rig, router: str) -> bool:
    return (rig.host.rundir / "netns" / f"qrouter-{router}").exists()


@contextmanager
def serve_tcp(netns: str, *ports: int) -> Iterator[None]:
    """A server that says its port, and the address that it was called from."""
    code = (
        "import socket,threading\n"
        "def serve(port):\n"
        " s=socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('',port)); s.listen()\n"
        " print('up', flush=True)\n"
        " while True:\n"
        "  c,a=s.accept()\n"
        "  try: c.sendall(f'{port} from {a[0]}'.encode())\n"
        "  except OSError: pass\n"  # who called has given up meanwhile; the next one is served
        "  c.close()\n"
        f"for port in {ports}: threading.Thread(target=serve, args=(port,)).start()\n"
    )
    command = ["ip", "netns", "exec", netns, "python3", "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            for _ in ports:
                assert process.stdout.readline()
            yield
        finally:
            process.kill()


def call_tcp(netns: str, address: str, port: int, wait_s: float = 3) -> str:
    """What the server says; empty: nothing came."""
    code = f"import socket; print(socket.create_connection(('{address}',{port}),{wait_s}).recv(99).decode())"
    done = subprocess.run(
        ["ip", "netns", "exec", netns, "python3", "-c", code], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def wait_told(netns: str, address: str, port: int, words: str) -> None:
    """Until the server there says just this to who calls from the namespace."""
    wait_until(lambda: call_tcp(netns, address, port) == words, seen=lambda: call_tcp(netns, address, port))


# -- one router --------------------------------------------------------------------------------------------------------


def test_a_router_joins_networks_and_the_world(cloud: Cloud) -> None:
    """East–west between hosts, out behind the gateway's address, in and out by a floating IP, and nothing else in."""
    one, a = make_side(cloud, "blue", "10.1.0.0/24", "h1")
    other, b = make_side(cloud, "red", "10.2.0.0/24", "h2")
    router = cloud.make_router(one, other, external=external(cloud))
    cloud.wait_router(router)
    wait_ping(a.netns, b.address)
    wait_ping(b.netns, a.address)
    gateway = cloud.api.ask("GET", f"routers/{router}")["router"]["external_gateway_info"]
    hidden = gateway["external_fixed_ips"][0]["ip_address"]
    with serve_tcp(cloud.outside, 8080):
        wait_told(a.netns, OUTSIDE, 8080, f"8080 from {hidden}")
    assert not pings(cloud.outside, a.address), "a way in that nobody made"
    fip = cloud.associate(external(cloud), a.id)
    address = fip["floating_ip_address"]
    wait_ping(cloud.outside, address)
    with serve_tcp(cloud.outside, 8080):
        wait_told(a.netns, OUTSIDE, 8080, f"8080 from {address}")
        wait_told(b.netns, OUTSIDE, 8080, f"8080 from {hidden}")
    wait_until(lambda: cloud.api.ask("GET", f"floatingips/{fip['id']}")["floatingip"]["status"] == "ACTIVE")
    with serve_tcp(a.netns, 80):
        wait_told(b.netns, address, 80, f"80 from {hidden}")  # met from inside as from outside
        wait_told(cloud.outside, address, 80, f"80 from {OUTSIDE}")
    wait_planned(*cloud.hosts.values())
    cloud.api.ask("PUT", f"floatingips/{fip['id']}", {"floatingip": {"port_id": None}})
    assert cloud.api.ask("GET", f"floatingips/{fip['id']}")["floatingip"]["status"] == "DOWN"
    wait_until(lambda: not pings(cloud.outside, address))
    drop_router(cloud, router)
    for rig in cloud.hosts.values():
        wait_until(lambda rig=rig: not has_space(rig, router))  # type: ignore[misc]
        wait_until(lambda rig=rig: "qr-" not in rig.host.inside("ip", "link"))  # type: ignore[misc]
    assert not pings(a.netns, b.address)


def test_a_floating_ip_that_is_taken_away_ends_what_goes_on(cloud: Cloud) -> None:
    """Pings from outside that go on stop at once, and go on when it is given back."""
    subnet, a = make_side(cloud, "blue", "10.1.0.0/24", "h1")
    router = cloud.make_router(subnet, external=external(cloud))
    cloud.wait_router(router)
    fip = cloud.associate(external(cloud), a.id)
    address = fip["floating_ip_address"]
    wait_ping(cloud.outside, address)
    outer = Instance("", "", cloud.outside, "eth0", "", OUTSIDE)
    pinging = Pinging(outer, address)
    pinging.wait_more()
    cloud.api.ask("PUT", f"floatingips/{fip['id']}", {"floatingip": {"port_id": None}})
    wait_until(lambda: address not in inside(cloud, router, "ip", "addr"))
    wait_until(lambda: a.address not in inside(cloud, router, "conntrack", "-L"))
    replies = len(pinging.answered)
    time.sleep(1)  # a hundred questions
    assert pinging.stop()[0] < replies + 20, "a connection outlived its floating IP"
    drop_router(cloud, router)


def test_ports_are_forwarded(cloud: Cloud) -> None:
    """One port to another, a range to the same numbers, a range moved; what is not forwarded is not met."""
    subnet, a = make_side(cloud, "blue", "10.1.0.0/24", "h1")
    router = cloud.make_router(subnet, external=external(cloud))
    cloud.wait_router(router)
    body = {"floatingip": {"floating_network_id": external(cloud)}}
    fip = cloud.api.ask("POST", "floatingips", body)["floatingip"]
    for outer, inner in (("2222:2222", "22:22"), ("3000:3003", "3000:3003"), ("4000:4003", "5000:5003")):
        given = {
            "protocol": "tcp", "internal_ip_address": a.address, "internal_port_id": a.id,
            "external_port_range": outer, "internal_port_range": inner,
        }  # fmt: skip
        cloud.api.ask("POST", f"floatingips/{fip['id']}/port_forwardings", {"port_forwarding": given})
    address = fip["floating_ip_address"]
    with serve_tcp(a.netns, 22, 3002, 5003):
        wait_told(cloud.outside, address, 2222, f"22 from {OUTSIDE}")
        wait_told(cloud.outside, address, 3002, f"3002 from {OUTSIDE}")
        wait_told(cloud.outside, address, 4003, f"5003 from {OUTSIDE}")
        assert call_tcp(cloud.outside, address, 22, 1) == ""
    for one in cloud.api.ask("GET", f"floatingips/{fip['id']}/port_forwardings")["port_forwardings"]:
        cloud.api.ask("DELETE", f"floatingips/{fip['id']}/port_forwardings/{one['id']}")
    cloud.api.ask("DELETE", f"floatingips/{fip['id']}")
    drop_router(cloud, router)


def test_the_same_addresses_behind_two_routers(cloud: Cloud) -> None:
    """Two tenants with the same prefix and the same address each reach their own, and are told apart outside."""
    made = []
    for name in ("one", "two"):
        network = cloud.make_plain_network(name)
        subnet = cloud.make_subnet(network, "10.1.0.0/24")
        fixed: dict[str, Any] = {"fixed_ips": [{"subnet_id": subnet, "ip_address": "10.1.0.10"}]}
        instance = cloud.boot("h1", network, "10.1.0.1", **fixed)
        router = cloud.make_router(subnet, external=external(cloud))
        cloud.wait_router(router)
        made.append((router, instance, cloud.associate(external(cloud), instance.id)["floating_ip_address"]))
    (_, one, outer_one), (_, two, outer_two) = made
    wait_ping(cloud.outside, outer_one)
    wait_ping(cloud.outside, outer_two)
    with serve_tcp(one.netns, 81), serve_tcp(two.netns, 82):
        wait_told(cloud.outside, outer_one, 81, f"81 from {OUTSIDE}")
        wait_told(cloud.outside, outer_two, 82, f"82 from {OUTSIDE}")
        wait_told(one.netns, outer_two, 82, f"82 from {outer_one}")  # one reaches the other by its outside
    for router, _, _ in made:
        drop_router(cloud, router)


def test_ipv6_and_extra_routes(cloud: Cloud) -> None:
    """IPv6 is forwarded between networks; an extra route leads to what is behind an instance."""
    made = []
    for number, host in ((1, "h1"), (2, "h2")):
        network = cloud.make_plain_network(f"six{number}")
        four = cloud.make_subnet(network, f"10.{number}.0.0/24")
        six = cloud.make_subnet(network, f"fd00:{number}::/64", ipv6_ra_mode="slaac", ipv6_address_mode="slaac")
        made.append((four, six, cloud.boot(host, network, f"10.{number}.0.1")))
    router = cloud.make_router(*(subnet for four, six, _ in made for subnet in (four, six)))
    cloud.wait_router(router)
    for number, (_, _, one) in enumerate(made, 1):
        (address,) = [
            fixed["ip_address"]
            for fixed in cloud.api.ask("GET", f"ports/{one.id}")["port"]["fixed_ips"]
            if ":" in fixed["ip_address"]
        ]
        run("ip", "netns", "exec", one.netns, "sysctl", "-qw", f"net.ipv6.conf.{one.device}.disable_ipv6=0")
        run("ip", "-n", one.netns, "addr", "add", f"{address}/64", "dev", one.device, "nodad")
        run("ip", "-n", one.netns, "-6", "route", "add", "default", "via", f"fd00:{number}::1")
    wait_ping(made[0][2].netns, read_six(cloud, made[1][2]))
    behind = made[1][2]
    run("ip", "-n", behind.netns, "addr", "add", "192.168.77.1/32", "dev", "lo")
    routes = [{"destination": "192.168.77.0/24", "nexthop": behind.address}]
    cloud.api.ask("PUT", f"routers/{router}", {"router": {"routes": routes}})
    wait_ping(made[0][2].netns, "192.168.77.1")
    drop_router(cloud, router)


def read_six(cloud: Cloud, one: Instance) -> str:
    fixed = cloud.api.ask("GET", f"ports/{one.id}")["port"]["fixed_ips"]
    return next(str(found["ip_address"]) for found in fixed if ":" in found["ip_address"])


def test_what_is_too_long_is_said_so(cloud: Cloud) -> None:
    """From a network of 1450 to one of 1300 on another host: the sender is told the MTU, whatever its groups let in;
    what may be cut arrives in pieces, both ways; a stream adapts. IPv6 as IPv4, where only the sender cuts."""
    a, b = make_uneven(cloud)
    for version, address in (("-4", b.address), ("-6", read_six(cloud, b))):
        ping = ("ip", "netns", "exec", a.netns, "ping", version, "-n", "-W", "2", "-s", "1372", "-i", "0.2")
        refused = (*ping, "-c", "1", "-M", "do", address)
        wait_until(lambda refused=refused: re.search("mtu ?= ?1300", run(*refused, check=False)))  # type: ignore[misc]
        cut = (*ping, "-c", "3", "-M", "dont", address)
        wait_until(lambda cut=cut: " 3 received" in run(*cut, check=False))  # type: ignore[misc]
    run("ip", "-n", a.netns, "route", "flush", "cache")
    assert measure(a, b, seconds=3) > 1


def make_uneven(cloud: Cloud) -> tuple[Instance, Instance]:
    """An instance with port security on a network of 1450, and one on a network of 1300 on another host."""
    made, subnets = [], []
    for number, (mtu, host) in enumerate(((1450, "h1"), (1300, "h2")), 1):
        network = cloud.make_plain_network("uneven", mtu=mtu)
        subnets.append(cloud.make_subnet(network, f"10.{number}.0.0/24"))
        subnets.append(cloud.make_subnet(network, f"fd00:{number}::/64", gateway_ip=f"fd00:{number}::1"))
        one = cloud.boot(host, network, f"10.{number}.0.1", port_security_enabled=number == 1)
        run("ip", "-n", one.netns, "link", "set", one.device, "mtu", str(mtu))
        give_six(cloud, one, f"fd00:{number}::1")
        made.append(one)
    router = cloud.make_router(*subnets)
    cloud.wait_router(router)
    wait_ping(made[0].netns, made[1].address)
    wait_ping(made[0].netns, read_six(cloud, made[1]))
    return made[0], made[1]


def give_six(cloud: Cloud, one: Instance, gateway: str) -> None:
    """The instance has its IPv6 address too, and a way out."""
    run("ip", "netns", "exec", one.netns, "sysctl", "-qw", f"net.ipv6.conf.{one.device}.disable_ipv6=0")
    run("ip", "-n", one.netns, "addr", "add", f"{read_six(cloud, one)}/64", "dev", one.device, "nodad")
    run("ip", "-n", one.netns, "-6", "route", "add", "default", "via", gateway)


def test_a_router_that_is_off_forwards_nothing(cloud: Cloud) -> None:
    """Switched off its ports are DOWN and say why; switched on it forwards again."""
    one, a = make_side(cloud, "blue", "10.1.0.0/24", "h1")
    other, b = make_side(cloud, "red", "10.2.0.0/24", "h1")
    router = cloud.make_router(one, other)
    cloud.wait_router(router)
    wait_ping(a.netns, b.address)
    cloud.api.ask("PUT", f"routers/{router}", {"router": {"admin_state_up": False}})
    wait_until(lambda: not pings(a.netns, b.address))
    wait_until(lambda: {p["status"] for p in cloud.api.list_ports(device_id=router)} == {"DOWN"})
    cloud.api.ask("PUT", f"routers/{router}", {"router": {"admin_state_up": True}})
    wait_ping(a.netns, b.address)
    cloud.wait_router(router)
    drop_router(cloud, router)


# -- what may go wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_a_restart_of_the_agent_sends_nothing_and_loses_nothing(cloud: Cloud, how: signal.Signals) -> None:
    """Pings through the router and its NAT go on every 10 ms while the agent ends and another comes."""
    subnet, a = make_side(cloud, "blue", "10.1.0.0/24", "h1")
    router = cloud.make_router(subnet, external=external(cloud))
    cloud.wait_router(router)
    wait_ping(a.netns, OUTSIDE)
    rig = cloud.hosts[find_host(cloud, router)]
    wait_quiet(rig)
    pinging = Pinging(a, OUTSIDE)
    pinging.wait_more()
    rig.stop_agent(how)
    said = len(rig.read_log())
    rig.start_agent()
    rig.wait_log(r"ports wired, 0 wait", said)
    pinging.wait_more()
    replies, lost = pinging.stop()
    assert replies > 20 and lost == []
    assert " ops" not in rig.read_log(said), "a restart had something to do"
    drop_router(cloud, router)


def test_the_switch_is_killed(cloud: Cloud) -> None:
    """The veth devices outlive it: routed traffic comes back by itself."""
    subnet, a = make_side(cloud, "blue", "10.1.0.0/24", "h1")
    router = cloud.make_router(subnet, external=external(cloud))
    cloud.wait_router(router)
    wait_ping(a.netns, OUTSIDE)
    rig = cloud.hosts[find_host(cloud, router)]
    rig.host.stop("ovs-vswitchd")
    began = time.monotonic()
    rig.host.start_switch()
    wait_until(lambda: pings(a.netns, OUTSIDE, wait_s=0.2))
    print(f"routed traffic after {time.monotonic() - began:.2f} s")
    drop_router(cloud, router)


def test_what_somebody_breaks_is_mended(cloud: Cloud) -> None:
    """A restart of the agent puts back an address, a route and a translation that were taken away by hand."""
    subnet, a = make_side(cloud, "blue", "10.1.0.0/24", "h1")
    router = cloud.make_router(subnet, external=external(cloud))
    cloud.wait_router(router)
    wait_ping(a.netns, OUTSIDE)
    rig = cloud.hosts[find_host(cloud, router)]
    rig.stop_agent()  # else its slow clock may mend it first
    inside(cloud, router, "nft", "flush", "map", "inet", "netloom", "hide")
    inside(cloud, router, "ip", "route", "del", "default")
    device = re.findall(r"qr-[\w-]+", inside(cloud, router, "ip", "-br", "link"))[0]
    inside(cloud, router, "ip", "addr", "flush", "dev", device)
    assert not pings(a.netns, OUTSIDE)
    assert len(rig.plan_anew()) == 3
    rig.start_agent()
    wait_ping(a.netns, OUTSIDE)
    drop_router(cloud, router)


@pytest.fixture
def hasty() -> Iterator[Cloud]:
    """Here a host is given up after two seconds: nobody may start an agent anew and expect to find its routers."""
    if reason := why_not():
        pytest.skip(reason)
    with make_cloud(2, "--set", "agent_down_time=2") as found:
        found.make_external()
        yield found


def test_routers_of_a_host_that_is_gone_move(hasty: Cloud) -> None:
    """By hand at once, and by themselves when their host stays away; outside, its switch learns at once."""
    cloud = hasty
    network = cloud.make_plain_network("blue")
    subnet = cloud.make_subnet(network, "10.1.0.0/24")
    a, b = cloud.boot("h1", network, "10.1.0.1"), cloud.boot("h2", network, "10.1.0.1")
    router = cloud.make_router(subnet, external=external(cloud))
    cloud.wait_router(router)
    address = cloud.associate(external(cloud), a.id)["floating_ip_address"]
    wait_ping(cloud.outside, address)
    agents = {
        one["host"]: one["id"]
        for one in cloud.api.ask("GET", "agents?agent_type=L3 agent".replace(" ", "%20"))["agents"]
    }
    source = find_host(cloud, router)
    target = ({"h1", "h2"} - {source}).pop()
    cloud.api.ask("DELETE", f"agents/{agents[source]}/l3-routers/{router}")
    cloud.api.ask("POST", f"agents/{agents[target]}/l3-routers", {"router_id": router})
    began = time.monotonic()
    wait_ping(cloud.outside, address)
    print(f"floating IP after a move by hand: {time.monotonic() - began:.2f} s")
    cloud.wait_router(router)
    rig = cloud.hosts[target]
    rig.stop_agent(signal.SIGKILL)
    rig.host.stop("ovs-vswitchd")
    wait_until(lambda: find_host(cloud, router) == source)
    live = a if source == "h1" else b
    wait_ping(live.netns, OUTSIDE)
    rig.host.start_switch()
    rig.start_agent()
    wait_ping((b if live is a else a).netns, OUTSIDE)
    wait_until(lambda: not has_space(rig, router))  # else two hosts have the router
