"""Bindings of a port: one is active, others wait for an instance that moves."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.intent.catalog import CATALOG
from netloom.intent.l2.port_binding import needs_active, run_ensure
from netloom.intent.operations import make_action, make_create, make_delete, make_update
from netloom.intent.schema import Doc, parse_create, parse_update
from tests.unit.intent.intent_kit import World, refused

BINDING = CATALOG["binding"]


class Cloud(World):
    """Two hosts, and an instance's port on the first."""

    def __init__(self) -> None:
        super().__init__()
        self.host("h1")
        self.host("h2")
        self.one = self.port(self.network(), binding__host_id="h1", device_owner="compute:nova", device_id="vm")

    def bind(self, host: str, port: Doc | None = None, **body: Any) -> Doc:
        parsed = {**parse_create(BINDING, {"host": host, **body}), "port_id": (port or self.one)["id"]}
        return self.run(make_create(BINDING, [parsed]))[0]

    def rebind(self, host: str, /, **changes: Any) -> Doc:
        return self.run(make_update(BINDING, self.id_of(host), parse_update(BINDING, changes)))[0]

    def activate(self, host: str) -> Doc:
        return self.run(make_action(BINDING, BINDING.actions[0], self.id_of(host), {}))[0]

    def drop(self, host: str) -> None:
        self.run(make_delete(BINDING, self.id_of(host)))

    def id_of(self, host: str) -> str:
        return BINDING.make_id(self.one["id"], host)

    def bindings(self) -> dict[str, tuple[str, str]]:
        """host → (status, vif_type), after what reading makes."""
        key = self.id_of("")
        if needs_active(self.snapshot, self.context().requester, key):
            self.take(run_ensure(self.snapshot, self.context(), key))
        found = self.snapshot.find("binding", "port_id", self.one["id"])
        return {b["host"]: (b["status"], b["vif_type"]) for b in found}

    def now(self) -> Doc:
        return self.get("port", self.one)


def test_the_binding_that_a_port_has() -> None:
    """A port's own binding is listed, and follows what is said of the port."""
    cloud = Cloud()
    assert cloud.bindings() == {"h1": ("ACTIVE", "ovs")}
    cloud.update("port", cloud.one, binding__host_id="h2")
    assert cloud.bindings() == {"h2": ("ACTIVE", "ovs")}
    cloud.update("port", cloud.now(), binding__host_id="")
    assert cloud.bindings() == {"": ("ACTIVE", "unbound")}


def test_a_binding_made_when_the_agent_comes() -> None:
    """A port that its host could not carry, and now can, shows so in its binding too."""
    cloud = Cloud()
    cloud.update("port", cloud.one, binding__host_id="h3")
    assert cloud.bindings() == {"h3": ("ACTIVE", "binding_failed")}
    cloud.host("h3")
    assert cloud.bindings() == {"h3": ("ACTIVE", "ovs")}


def test_an_instance_moves() -> None:
    """The new host is bound beside the old one; activating it makes the port the new host's in one write."""
    cloud = Cloud()
    made = cloud.bind("h2", profile={"migrating": True})
    assert (made["status"], made["vif_type"], made["vif_details"]["bridge_name"]) == ("INACTIVE", "ovs", "br-int")
    assert cloud.now()["binding:host_id"] == "h1"
    assert cloud.bindings() == {"h1": ("ACTIVE", "ovs"), "h2": ("INACTIVE", "ovs")}
    before = cloud.snapshot.revision
    answer = cloud.activate("h2")
    assert (answer["host"], answer["status"], answer["profile"]) == ("h2", "ACTIVE", {"migrating": True})
    assert cloud.snapshot.revision == before + 1
    port = cloud.now()
    assert (port["binding:host_id"], port["binding:profile"]) == ("h2", {"migrating": True})
    assert (port["status"], port["waits_for"]) == ("DOWN", "host h2 to acknowledge it")
    assert port["described_at"] == cloud.snapshot.revision
    assert cloud.bindings() == {"h1": ("INACTIVE", "unbound"), "h2": ("ACTIVE", "ovs")}
    cloud.drop("h1")
    assert cloud.bindings() == {"h2": ("ACTIVE", "ovs")}


def test_a_move_that_is_called_off() -> None:
    """Deleting the binding that waits leaves the port as it is."""
    cloud = Cloud()
    before = cloud.now()
    cloud.bind("h2")
    cloud.drop("h2")
    assert cloud.now() is before
    assert cloud.bindings() == {"h1": ("ACTIVE", "ovs")}


def test_what_bindings_refuse() -> None:
    """One binding to a host, one activation, hosts that can, and ports of instances only."""
    cloud = Cloud()
    cloud.bind("h2")
    with refused(409, "PortBindingAlreadyExists", cloud.one["id"], "h2"):
        cloud.bind("h2")
    with refused(409, "PortBindingAlreadyExists", "h1"):
        cloud.bind("h1")
    with refused(409, "PortBindingAlreadyActive", "h1"):
        cloud.activate("h1")
    with refused(404, "PortBindingNotFound"):
        cloud.activate("h9")
    with refused(409, "PortBindingError", "h9", "no Open vSwitch agent"):
        cloud.bind("h9")
    other = cloud.port(cloud.network(), device_owner="network:dhcp")
    with refused(400, "BadRequest", "Operation only valid on compute"):
        cloud.bind("h2", other)
    key = BINDING.make_id(other["id"], "")
    assert needs_active(cloud.snapshot, cloud.context().requester, key)
    with refused(400, "BadRequest", other["id"]):
        run_ensure(cloud.snapshot, cloud.context(), key)


def test_a_host_that_cannot_any_more() -> None:
    """A binding whose host cannot carry the port when it is activated changes nothing."""
    cloud = Cloud()
    cloud.bind("h2")
    cloud.host("h2", tunnel_types=[])
    before = cloud.snapshot
    with refused(409, "PortBindingError", "no vxlan tunnels"):
        cloud.activate("h2")
    assert cloud.snapshot is before


def test_changing_bindings() -> None:
    """The vnic_type and profile of a waiting binding are its own; those of the active one are the port's."""
    cloud = Cloud()
    cloud.bind("h2")
    assert cloud.rebind("h2", profile={"a": 1})["profile"] == {"a": 1}
    assert cloud.now()["binding:profile"] == {}
    assert cloud.rebind("h1", profile={"b": 1}, vnic_type="vdpa")["vnic_type"] == "vdpa"
    assert (cloud.now()["binding:profile"], cloud.now()["binding:vnic_type"]) == ({"b": 1}, "vdpa")
    cloud.host("h3")
    assert cloud.rebind("h2", host="h3")["host"] == "h3"
    with refused(409, "PortBindingAlreadyExists"):
        cloud.rebind("h3", host="h1")
    with refused(409, "PortBindingError"):
        cloud.rebind("h3", vnic_type="macvtap")


@pytest.mark.parametrize("gone", ["port", "active"])
def test_what_goes_with_what(gone: str) -> None:
    """With a port go its bindings; a port whose active binding is deleted is on no host."""
    cloud = Cloud()
    cloud.bind("h2")
    if gone == "port":
        cloud.delete("port", cloud.now())
        assert cloud.snapshot.count("binding") == 0
    else:
        cloud.drop("h1")
        assert (cloud.now()["binding:host_id"], cloud.now()["binding:vif_type"]) == ("", "unbound")
        assert cloud.bindings() == {"": ("ACTIVE", "unbound"), "h2": ("INACTIVE", "ovs")}


def test_hosts_with_long_names() -> None:
    """Hosts whose names are as long as names may be are told apart, and their ids fit where ids are stored."""
    one, two = ("x" * 254 + end for end in "ab")
    ids = {BINDING.make_id("p" * 36, host) for host in (one, two, "h1")}
    assert len(ids) == 3
    assert max(map(len, ids)) <= 255


def test_trust_goes_with_every_binding() -> None:
    """A waiting binding shows the port's trust as the active one does."""
    cloud = Cloud()
    cloud.update("port", cloud.one, trusted=True)
    assert cloud.bind("h2", profile={"a": 1})["profile"] == {"a": 1, "trusted": True}
