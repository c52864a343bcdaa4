"""Law 1 for floating IPs: what one shows is what its port, its forwardings and its router are now, however they came
to be so."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.intent.errors import ApiError
from netloom.intent.l2.port_status import acknowledge
from netloom.intent.l3.floatingip_assoc import show_details
from netloom.intent.l3.port_forwarding import SHOWN
from netloom.intent.l3.router_find import find_gateway_ports, find_interface_ports
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Snapshot
from netloom.testing.consistency import check_snapshot
from tests.examples import count_examples
from tests.unit.intent.floatingip_kit import Outside

N = st.integers(0, 3)
STEP = st.tuples(
    st.sampled_from(
        ["port", "readdress", "rename", "drop_port", "bind", "fip", "lead", "let_go", "drop_fip", "forward", "retarget",
         "drop_forward", "leg", "unleg", "gateway", "ungateway"]
    ), N, N,
)  # fmt: skip


START = (
    ("port", 0, 0), ("port", 0, 0), ("fip", 0, 0), ("fip", 0, 0), ("lead", 0, 0), ("forward", 1, 1), ("forward", 1, 1),
)  # fmt: skip


class Play(Outside):
    """Two inner networks, a second router; numbers pick one of what there is."""

    def __init__(self) -> None:
        super().__init__()
        self.host("h1")
        self.second = self.network()
        self.second_subnet = self.subnet(self.second, "10.1.0.0/24")
        self.make_router()

    def pick(self, kind: str, n: int, keep: Callable[[Doc], bool] = lambda doc: True) -> Doc:
        found = sorted((doc for doc in self.snapshot.docs(kind) if keep(doc)), key=lambda doc: str(doc["id"]))
        if not found:
            raise ApiError(404, "Nothing", "there is none to pick")
        return found[n % len(found)]

    def vm(self, n: int, addressed: bool = False) -> Doc:
        def is_one(port: Doc) -> bool:
            return not port["device_owner"].startswith("network:") and bool(port["fixed_ips"] or not addressed)

        return self.pick("port", n, is_one)

    def step(self, name: str, a: int, b: int) -> None:
        steps: dict[str, Callable[[], object]] = {
            "port": lambda: self.port((self.inner, self.second)[a % 2]),
            "readdress": lambda: self.update(
                "port", self.vm(a), fixed_ips=[{"subnet_id": self.subnet_of(self.vm(a))}] * b
            ),
            "rename": lambda: self.update("port", self.vm(a), name=f"vm{b}"),
            "drop_port": lambda: self.delete("port", self.vm(a)),
            "bind": lambda: self.bind(self.vm(a)),
            "fip": lambda: self.floatingip(),
            "lead": lambda: self.update("floatingip", self.pick("floatingip", a), port_id=self.vm(b)["id"]),
            "let_go": lambda: self.update("floatingip", self.pick("floatingip", a), port_id=None),
            "drop_fip": lambda: self.delete("floatingip", self.pick("floatingip", a)),
            "forward": lambda: self.forward(self.pick("floatingip", a), self.vm(b, True), 80 + b, 8080),
            "retarget": lambda: self.update("port_forwarding", self.pick("port_forwarding", a), internal_port=1 + b),
            "drop_forward": lambda: self.delete("port_forwarding", self.pick("port_forwarding", a)),
            "leg": lambda: self.act(self.pick("router", a), "add_router_interface", subnet_id=self.either(b)["id"]),
            "unleg": lambda: self.act(
                self.pick("router", a), "remove_router_interface", subnet_id=self.either(b)["id"]
            ),
            "gateway": lambda: self.gateway(a, {"network_id": self.outer["id"]}),
            "ungateway": lambda: self.gateway(a, None),
        }
        try:
            steps[name]()
        except ApiError as error:
            assert error.status in (400, 404, 409), error.message

    def either(self, n: int) -> Doc:
        return (self.inner_subnet, self.second_subnet)[n % 2]

    def subnet_of(self, port: Doc) -> str:
        return str((self.inner_subnet if port["network_id"] == self.inner["id"] else self.second_subnet)["id"])

    def gateway(self, n: int, info: Doc | None) -> None:
        self.update("router", self.pick("router", n), external_gateway_info=info)

    def bind(self, port: Doc) -> None:
        self.update("port", port, binding__host_id="h1")
        self.take(acknowledge(self.snapshot, self.context(), "h1", [port["id"]], {}))


def check_floatingip(snapshot: Snapshot, fip: Doc) -> None:
    """Everything that the document says of others is so."""
    forwardings = {doc["id"]: doc for doc in snapshot.find("port_forwarding", "floatingip_id", fip["id"])}
    shown = [{name: doc[name] for name in SHOWN if doc[name] is not None} for _, doc in sorted(forwardings.items())]
    assert fip["port_forwardings"] == shown
    port = snapshot.get("port", fip["port_id"]) if fip["port_id"] else None
    assert fip["port_details"] == (show_details(port) if port else None)
    ends = [(doc["internal_port_id"], doc["internal_ip_address"]) for doc in forwardings.values()]
    assert not (ends and fip["port_id"])
    ends += [(fip["port_id"], fip["fixed_ip_address"])] if fip["port_id"] else []
    assert bool(fip["router_id"]) == bool(ends)
    for port_id, address in ends:
        check_way(snapshot, fip, port_id, address)
    held = snapshot.get("port", fip["floating_port_id"])
    assert held is not None
    assert fip["floating_ip_address"] in [fixed["ip_address"] for fixed in held["fixed_ips"]]


def check_way(snapshot: Snapshot, fip: Doc, port_id: str, address: str) -> None:
    """The port has the address, and the router has a leg on its subnet and a gateway on the floating network."""
    port = snapshot.get("port", port_id)
    assert port is not None
    subnets = [fixed["subnet_id"] for fixed in port["fixed_ips"] if fixed["ip_address"] == address]
    assert len(subnets) == 1
    legs = find_interface_ports(snapshot, fip["router_id"])
    assert any(fixed["subnet_id"] == subnets[0] for leg in legs for fixed in leg["fixed_ips"])
    assert any(gw["network_id"] == fip["floating_network_id"] for gw in find_gateway_ports(snapshot, fip["router_id"]))


@settings(max_examples=count_examples(100), deadline=None)
@given(st.lists(STEP, min_size=1, max_size=15))
def test_a_floating_ip_says_what_is(steps: list[tuple[str, int, int]]) -> None:
    """Whatever is asked in whatever order, floating IPs, ports, forwardings and routers agree."""
    play = Play()
    for step in START:
        play.step(*step)
    for name, a, b in steps:
        play.step(name, a, b)
        for fip in play.snapshot.docs("floatingip"):
            check_floatingip(play.snapshot, fip)
    ways = [
        (fip["port_id"], fip["fixed_ip_address"], fip["floating_network_id"])
        for fip in play.snapshot.docs("floatingip")
        if fip["port_id"]
    ]
    assert len(ways) == len(set(ways))
    assert check_snapshot(play.snapshot) == []
