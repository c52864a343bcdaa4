"""Rules: the verdict is oslo.policy's, reached in two steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.api.policy import Policy, find_seen, format_rules
from netloom.api.rules import find_rules, make_enforcer, make_policy_source
from netloom.intent.catalog import CATALOG as REAL
from netloom.intent.operation import Requester
from netloom.intent.schema import Catalog, Field, Index, Kind, Resource, Rules
from netloom.intent.snapshot import Change, Snapshot

TEXT = Kind("text", str, {"type": "string"})
NETWORK = Resource("network", "networks", "", (Field("id", TEXT, ""),), Rules("@", "@", "@", "@"))
CATALOG: Catalog = {"network": NETWORK}
EMPTY = Snapshot(CATALOG)
OWNED = EMPTY.apply([Change("network", "n1", {"id": "n1", "project_id": "p1"})], 1)
MEMBER = Requester(user_id="u1", project_id="p1", roles=("member", "reader"))

leaves = st.sampled_from(
    [
        "@", "!", "role:member", "role:READER", "role:admin", "project_id:%(project_id)s", "tenant_id:%(tenant_id)s",
        "user_id:%(owner)s", "project_id:p1", "'x':%(name)s", "True:%(flag)s", "role:%(name)s", "rule:other",
        "rule:missing", "nothing:%(name)s", "project_id:%(missing)s", "user_id:u1",
    ]
)  # fmt: skip
check_strings = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("not {}".format, leaves),
    ),
    max_leaves=6,
)
requesters = st.builds(
    Requester,
    user_id=st.sampled_from(["u1", "u2"]),
    project_id=st.sampled_from(["p1", "p2"]),
    roles=st.lists(st.sampled_from(["admin", "member", "reader", "x"]), unique=True).map(tuple),
)
targets = st.fixed_dictionaries(
    {
        "project_id": st.sampled_from(["p1", "p2"]),
        "owner": st.sampled_from(["u1", "u2"]),
        "name": st.sampled_from(["x", "member", "y"]),
        "flag": st.booleans(),
    }
)


def make_policy(**rules: str) -> Policy:
    return Policy(dict(make_enforcer(rules).rules))


@settings(max_examples=150, deadline=None)
@given(check_strings, check_strings, requesters, targets)
def test_the_verdict_is_that_of_oslo_policy(
    check: str, other: str, requester: Requester, target: dict[str, Any]
) -> None:
    """Whatever rules an operator writes, they mean here what they mean in every other service."""
    enforcer = make_enforcer({"do": check, "other": other.replace("rule:other", "@")})
    creds = {
        "user_id": requester.user_id,
        "project_id": requester.project_id,
        "tenant_id": requester.project_id,
        "roles": list(requester.roles),
    }
    full = {**target, "tenant_id": target["project_id"]}
    theirs = enforcer.enforce("do", full, creds)
    ours = Policy(dict(enforcer.rules), enforcer).allows("do", requester, target, EMPTY)
    assert ours == bool(theirs)


def test_what_the_requester_alone_decides_needs_no_object() -> None:
    """A role that is missing refuses every object at once."""
    policy = make_policy(get="role:reader and (project_id:%(project_id)s or role:member)")
    assert policy.decide("get", Requester(roles=("other",))) is False
    assert policy.decide("get", MEMBER) is True
    assert not isinstance(policy.decide("get", Requester(project_id="p1", roles=("reader",))), bool)


def test_the_owner_of_the_network_may() -> None:
    """A port's network decides, wherever the port's own project is."""
    policy = make_policy(get="rule:network_owner", network_owner="tenant_id:%(network:tenant_id)s")
    assert policy.allows("get", MEMBER, {"project_id": "p2", "network_id": "n1"}, OWNED)
    assert not policy.allows("get", Requester(project_id="p2"), {"project_id": "p2", "network_id": "n1"}, OWNED)
    assert not policy.allows("get", MEMBER, {"project_id": "p2", "network_id": "gone"}, OWNED)


def test_field_checks_are_those_of_neutron() -> None:
    """field:networks:shared=True and field:port:device_owner=~^network: look at the object."""
    policy = make_policy(
        shared="field:networks:shared=True",
        owner="field:port:device_owner=~^network:",
        external="field:networks:router:external=True",
    )
    assert policy.allows("shared", MEMBER, {"shared": True}, EMPTY)
    assert not policy.allows("shared", MEMBER, {"shared": False}, EMPTY)
    assert not policy.allows("shared", MEMBER, {}, EMPTY)
    assert policy.allows("owner", MEMBER, {"device_owner": "network:dhcp"}, EMPTY)
    assert not policy.allows("owner", MEMBER, {"device_owner": "compute:nova"}, EMPTY)
    assert policy.allows("external", MEMBER, {"router:external": True}, EMPTY)


def test_nobody_without_a_project_owns_what_has_none() -> None:
    """An unscoped token does not see the objects that belong to no project."""
    policy = make_policy(get="project_id:%(project_id)s")
    assert not policy.allows("get", Requester(user_id="u"), {"project_id": ""}, EMPTY)


def test_an_administrator_is_who_the_rule_says() -> None:
    """context_is_admin makes an administrator, and an administrator may all."""
    policy = make_policy(context_is_admin="role:boss", do="!")
    boss = policy.recognise(Requester(roles=("boss",)))
    assert boss.is_admin
    assert policy.allows("do", boss, {}, EMPTY)
    assert not policy.recognise(MEMBER).is_admin


def test_rules_that_call_each_other_refuse() -> None:
    """A circle of rules allows nothing and ends."""
    policy = make_policy(a="rule:b", b="rule:a")
    assert policy.decide("a", MEMBER) is False


def test_single_keys_have_rules_of_their_own() -> None:
    """create_port:fixed_ips:ip_address guards the key where create_port:fixed_ips guards the list."""
    policy = make_policy(**{"create_port": "@", "create_port:fixed_ips": "@", "create_port:fixed_ips:ip_address": "!"})
    subnet_only = [("fixed_ips", [{"subnet_id": "s"}])]
    with_address = [("fixed_ips", [{"subnet_id": "s", "ip_address": "10.0.0.1"}])]
    assert policy.refused("create_port", subnet_only, MEMBER, {}, EMPTY) is None
    assert policy.refused("create_port", with_address, MEMBER, {}, EMPTY) == (
        "((rule:create_port and rule:create_port:fixed_ips) and rule:create_port:fixed_ips:ip_address)"
    )


def test_rules_are_printed_as_oslo_policy_prints_them() -> None:
    """One rule stands alone, more are joined from the left."""
    assert format_rules(["a"]) == "rule:a"
    assert format_rules(["a", "b", "c"]) == "((rule:a and rule:b) and rule:c)"


def test_declarations_bring_their_rules() -> None:
    """Each verb and each guarded attribute has the name that Neutron's policy has."""
    guarded = Field("shared", TEXT, "", set="role:a", change="role:b", see="role:c")
    resource = Resource("network", "networks", "", (guarded,), Rules("@", "@", None, "!"), tags=False)
    assert dict(find_rules({"network": resource})) == {
        "create_network": "@",
        "get_network": "@",
        "delete_network": "!",
        "create_network:shared": "role:a",
        "update_network:shared": "role:b",
        "get_network:shared": "role:c",
    }


def test_the_operators_file_overrides_and_is_read_again(tmp_path: Path) -> None:
    """A changed policy.yaml counts without a restart; one that cannot be read changes nothing."""
    file = tmp_path / "policy.yaml"
    file.write_text('"create_network": "role:admin"\n')
    source = make_policy_source(CATALOG, str(file))
    assert source.current().decide("create_network", MEMBER) is False
    assert source.current().decide("get_network", MEMBER) is True
    file.write_text('"get_network": "role:somebody_else"\n')
    source.next_s = 0.0
    assert source.current().decide("create_network", MEMBER) is True
    assert source.current().decide("get_network", MEMBER) is False
    file.write_text("{{{\n")
    source.next_s = 0.0
    assert source.current().decide("get_network", MEMBER) is False


PORT = Resource(
    "port",
    "ports",
    "",
    (Field("id", TEXT, ""), Field("project_id", TEXT, ""), Field("network_id", TEXT, ""), Field("shared", TEXT, "")),
    Rules("@", "@", "@", "@"),
    indexes=(
        Index("project_id", lambda doc: (doc["project_id"],)),
        Index("network_id", lambda doc: (doc["network_id"],)),
        Index("public", lambda doc: (True,) if doc["shared"] else ()),
    ),
)
PARENT = Resource(
    "network",
    "networks",
    "",
    (Field("id", TEXT, ""), Field("project_id", TEXT, ""), Field("shared", TEXT, "")),
    Rules("@", "@", "@", "@"),
    indexes=(
        Index("project_id", lambda doc: (doc["project_id"],)),
        Index("public", lambda doc: (True,) if doc["shared"] else ()),
    ),
)
owners = st.sampled_from(["p1", "p2", "p3", ""])
sights = st.recursive(
    st.sampled_from(
        ["project_id:%(project_id)s", "tenant_id:%(network:tenant_id)s", "field:networks:shared=True",
         "True:%(network:shared)s", "role:reader", "!", "field:networks:shared=False"]
    ),
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner), st.builds("({} or {})".format, inner, inner)
    ),
    max_leaves=4,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    sights,
    st.lists(st.tuples(owners, st.booleans()), min_size=1, max_size=3),
    st.lists(st.tuples(owners, st.integers(0, 3), st.booleans()), max_size=6),
)
def test_indexes_lead_to_everything_that_may_be_seen(
    check: str, networks: list[tuple[str, bool]], ports: list[tuple[str, int, bool]]
) -> None:
    """A list that looks only where the requester's things are shows the same as one that looks everywhere."""
    changes = [
        Change("network", f"n{n}", {"id": f"n{n}", "project_id": owner, "shared": shared})
        for n, (owner, shared) in enumerate(networks)
    ]
    changes += [
        Change("port", f"p{n}", {"id": f"p{n}", "project_id": owner, "network_id": f"n{at}", "shared": shared})
        for n, (owner, at, shared) in enumerate(ports)
    ]
    snapshot = Snapshot({"network": PARENT, "port": PORT}).apply(changes, 1)
    verdict = make_policy(get=check).decide("get", Requester(project_id="p1", roles=("reader",)))
    if isinstance(verdict, bool):
        return
    seen = {doc["id"] for doc in snapshot.docs("port") if verdict(doc, snapshot)}
    found = find_seen(verdict, PORT, snapshot)
    assert found is None or seen <= found


def test_rules_of_tags_are_called_as_neutron_calls_them_now_and_once(tmp_path: Path) -> None:
    """A policy.yaml with the names of older releases has its say; the new name wins where both are there."""
    path = tmp_path / "policy.yaml"
    path.write_text('"update_ports_tags": "!"\n"update_networks_tags": "!"\n"update_network:tags": "@"\n')
    rules = make_policy_source(REAL, str(path)).policy.rules
    assert str(rules["update_port:tags"]) == "!" and str(rules["update_network:tags"]) == "@"
    assert "member" in str(rules["update_subnet:tags"])
