"""Each attribute that we serve, beside neutron-lib's definition of it: who may give it, its default, its filters, and
what is made of a value. Where they differ, it is written down here why."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest

from netloom.intent.catalog import CATALOG, EXTENSIONS
from netloom.intent.errors import ApiError
from netloom.intent.schema import Absent, Field, Resource, parse_value
from tests.peer.judges import ROOT, VENV, install, plain_environment

CORE = ("network", "subnet", "port")
"""Definitions without an alias that is announced."""
NAMES = {"tenant_id": "project_id"}
UUID = "5b2a9f5e-3c0e-4a55-9f53-2f6a4f2a9c11"
SAMPLES: tuple[Any, ...] = (
    None, "", " ", "x", "x" * 255, "x" * 256, -2, -1, 0, 1, 4, 6, 68, 1280, 1500, 4094, 4095, 65535, 65536, 2**31,
    True, False, "true", "False", "yes", "1", "1500", 1.5, [], ["a"], ["a", "a"], [1], {}, {"a": 1}, [{}], UUID,
    [UUID], UUID.replace("-", ""), "10.0.0.1", "10.0.0.0/24", "10.0.0.1/24", "fe80::1", "2001:DB8::1",
    "2001:db8::/64", "::/0", "999.0.0.1", "10.0.0.0/33", ["10.0.0.1"], ["10.0.0.0/24"], ["10.0.0.1", "10.0.0.1"],
    "fa:16:3e:00:00:01", "FA:16:3E:00:00:01", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00",
    "vxlan", "VXLAN", "normal", "direct", "slaac", "ingress", "Ingress", "egress", "both", "tcp", "TCP", 6, "256",
    "any", "ACTIVE", "example.org.", "example.org", "-bad-", "network:dhcp", "host-1", "compute:nova",
    [{"ip_address": "10.0.0.1"}], [{"subnet_id": UUID}], [{"ip_address": "x"}], [{"start": "10.0.0.2", "end":
    "10.0.0.9"}], [{"destination": "10.1.0.0/16", "nexthop": "10.0.0.1"}], [{"opt_name": "mtu", "opt_value":
    "1400"}], {"network_id": UUID}, {"network_id": UUID, "enable_snat": "no"},
)  # fmt: skip

_NOT_SHOWN = "Declared for the policy's sake; upstream's answers do not have it either."
_HOST_TEXT = "A host is text of 255 characters, as upstream's database holds; null is none, shown as empty text."
_NO_UPDATE = "Declared as if it could change; upstream has no request that changes a rule."
_ANY_TEXT = "Upstream lets any text through and answers 500 where it is no prefix; empty is none, shown as null."
_LISTED = "The openstack command lists by it (--router, --port, --ip-address, --project); upstream answers it 400."
_LISTED_ALL = (
    "Upstream's plug-in checks no filter, and filters by all that it shows; a clean-up of openstacksdk asks by "
    "service_type."
)
_EMPTY_LIST = "An empty text or object is no list; upstream takes whatever is empty for an empty list."

DIFFERENCES: Mapping[tuple[str, str, str], str] = {
    ("alias_bandwidth_limit_rules", "project_id", "missing"): _NOT_SHOWN,
    ("alias_dscp_marking_rules", "project_id", "missing"): _NOT_SHOWN,
    ("alias_minimum_bandwidth_rules", "project_id", "missing"): _NOT_SHOWN,
    ("bindings", "host", "values"): _HOST_TEXT,
    ("bindings", "profile", "values"): "No profile is an empty one, as upstream shows it.",
    ("bindings", "project_id", "missing"): _NOT_SHOWN,
    ("conntrack_helpers", "helper", "values"): "A helper is text; neutron-lib makes text of any JSON, and upstream's "
    "plug-in then knows no helper of that name.",
    ("metering_label_rules", "destination_ip_prefix", "put"): _NO_UPDATE,
    ("metering_label_rules", "destination_ip_prefix", "values"): _ANY_TEXT,
    ("metering_label_rules", "project_id", "missing"): _NOT_SHOWN,
    ("metering_label_rules", "remote_ip_prefix", "values"): "In the form in which upstream shows it: a prefix with its "
    "length; empty is none, shown as null.",
    ("metering_label_rules", "source_ip_prefix", "put"): _NO_UPDATE,
    ("metering_label_rules", "source_ip_prefix", "values"): _ANY_TEXT,
    ("ndp_proxies", "id", "filter"): _LISTED,
    ("ndp_proxies", "ip_address", "filter"): _LISTED,
    ("ndp_proxies", "port_id", "filter"): _LISTED,
    ("ndp_proxies", "project_id", "filter"): _LISTED,
    ("ndp_proxies", "router_id", "filter"): _LISTED,
    ("networks", "mtu", "values"): "What upstream's database cannot hold is refused before it.",
    ("networks", "segments", "values"): "No segments are an empty list, as upstream shows them; the rest is checked "
    "here at once, upstream step by step.",
    ("ports", "binding:host_id", "values"): _HOST_TEXT,
    ("ports", "binding:profile", "values"): "No profile is an empty one, as upstream shows it.",
    ("ports", "extra_dhcp_opts", "default"): "No options are an empty list, as upstream shows them.",
    ("ports", "extra_dhcp_opts", "values"): "With the IP version that upstream fills in one step later.",
    ("ports", "fixed_ips", "values"): "A key that fixed IPs do not have is refused; upstream reads past it and then "
    "finds neither a subnet nor an address.",
    ("ports", "hints", "values"): "No hints are null, as upstream shows them.",
    ("ports", "mac_address", "values"): "An address is text, of one station; neutron-lib reads any number as one and "
    "lets multicast through. One is made by the operation, not by the parser.",
    ("routers", "external_gateway_info", "values"): "No gateway is null, however the request says so.",
    ("routers", "flavor_id", "values"): "An id is text; neutron-lib lets any JSON through.",
    ("security_group_rules", "remote_address_group_id", "values"): "An id is text; neutron-lib lets any JSON through, "
    "and its database falls over what is no text.",
    ("security_groups", "stateful", "default"): "Where nothing is said the project's default statefulness decides.",
    ("service_providers", "default", "filter"): _LISTED_ALL,
    ("service_providers", "name", "filter"): _LISTED_ALL,
    ("service_providers", "service_type", "filter"): _LISTED_ALL,
    ("subnets", "allocation_pools", "values"): _EMPTY_LIST,
    ("subnets", "cidr", "values"): "Null is a prefix from a pool, over which neutron-lib falls; host bits are dropped "
    "at once, upstream one step later.",
    ("subnets", "dns_nameservers", "values"): _EMPTY_LIST,
    ("subnets", "service_types", "values"): "None are an empty list, as upstream shows them.",
}
"""(collection, attribute, what) → why ours is another."""
_TAPS = {
    "filter": "Upstream declares no filters of taps, and refuses all; ours are those that every collection has.",
    "sort": "Upstream declares no sort keys of taps; ours are those that every collection has.",
    "values": "Text is bounded by what upstream's database holds.",
}
COLLECTIONS: Mapping[tuple[str, str], str] = {
    (collection, what): reason
    for collection in ("tap_services", "tap_flows", "tap_mirrors")
    for what, reason in _TAPS.items()
}
"""(collection, what) → why all of the collection's attributes are otherwise."""


@cache
def read_facts() -> list[dict[str, Any]]:
    install()
    done = subprocess.run(
        [str(VENV / "bin" / "python"), str(ROOT / "tests/peer/neutron_lib_facts.py")],
        input=json.dumps(SAMPLES), env=plain_environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def find_resource(collection: str, parent: str = "") -> Resource | None:
    wanted = [r for r in CATALOG.values() if (r.collection == collection and not r.alias) or r.alias in EXTENSIONS]
    return next((r for r in wanted if r.collection == collection and (not parent or r.parent)), None)


def find_pairs() -> Iterator[tuple[str, str, Field | None, list[dict[str, Any]]]]:
    """(collection, attribute, ours, neutron-lib's definitions of it) of what we announce."""
    specs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    owners: dict[str, Resource] = {}
    for module in read_facts():
        if module["alias"] not in EXTENSIONS and module["alias"] not in CORE:
            continue
        subs = [one["attributes"] for one in module["sub_resources"].values()]
        for collections in (module["resources"], *subs):
            for collection, attributes in collections.items():
                resource = find_resource(collection)
                if resource is None:
                    continue
                owners[collection] = resource
                for attribute, spec in attributes.items():
                    specs.setdefault((collection, NAMES.get(attribute, attribute)), []).append(spec)
    for (collection, attribute), found in specs.items():
        yield collection, attribute, owners[collection].by_name.get(attribute), found


def find_differences() -> dict[tuple[str, str, str], str]:
    """All of them: what is theirs, what is ours."""
    found: dict[tuple[str, str, str], str] = {}
    for collection, attribute, ours, theirs in find_pairs():
        if ours is None or not ours.visible:
            if any(spec["visible"] for spec in theirs):
                found[collection, attribute, "missing"] = "not there"
            continue
        for what in ("post", "put", "filter", "sort"):
            mine = getattr(ours, what) or (what == "filter" and is_written_filter(collection, attribute))
            if all(spec[what] != mine for spec in theirs):
                found[collection, attribute, what] = f"theirs {theirs[0][what]}, ours {mine}"
        if not any(is_same_default(ours, spec) for spec in theirs):
            found[collection, attribute, "default"] = f"theirs {theirs[0]['default']}, ours {ours.default!r}"
        if wrong := find_wrong_samples(ours, theirs):
            found[collection, attribute, "values"] = "; ".join(wrong)
    return found


def is_written_filter(collection: str, attribute: str) -> bool:
    """Whether lists are filtered by it in a way of its own (fixed_ips=ip_address=…)."""
    resource = find_resource(collection)
    return resource is not None and any(one.name == attribute for one in resource.filters)


def is_same_default(ours: Field, spec: Mapping[str, Any]) -> bool:
    if not ours.post:
        return True
    default = spec["default"]
    if isinstance(ours.default, Absent):
        return (
            default is None or "marker" in default or (ours.default is Absent.GENERATED and is_empty(default["value"]))
        )
    if default is None or "marker" in default:
        return ours.default is None or is_empty(ours.default)
    return bool(default["value"] == ours.default)


def is_empty(value: Any) -> bool:
    return value in (None, "", [], {}, False)


def find_wrong_samples(ours: Field, theirs: list[dict[str, Any]]) -> list[str]:
    """What is allowed by one and refused by the other, or read as something else."""
    if not (ours.post or ours.put):
        return []
    wrong = []
    for number, value in enumerate(SAMPLES):
        answers = [spec["samples"][number] for spec in theirs if spec["samples"]]
        mine = try_value(ours, value)
        if answers and not any(is_same_answer(mine, answer) for answer in answers):
            wrong.append(f"{value!r}: theirs {answers[-1]}, ours {mine}")
    return wrong


def try_value(ours: Field, value: Any) -> list[Any]:
    try:
        return ["ok", parse_value(ours, value)]
    except ApiError as error:
        return ["no", error.message]


def is_same_answer(mine: list[Any], theirs: list[Any]) -> bool:
    if mine[0] != theirs[0]:
        return False
    return mine[0] == "no" or mine[1] == theirs[1] or str(mine[1]).lower() == str(theirs[1]).lower()


def test_attributes_are_those_of_neutron_lib() -> None:
    """Who may give each attribute, its default, filters, sort keys and values; each difference has a reason."""
    found = find_differences()
    news = {k: text for k, text in found.items() if k not in DIFFERENCES and (k[0], k[2]) not in COLLECTIONS}
    assert not news, "\n".join(f"{' '.join(key)}: {text}" for key, text in sorted(news.items()))
    assert not set(DIFFERENCES) - set(found), "these differ no more"
    assert not set(COLLECTIONS) - {(key[0], key[2]) for key in found}, "these differ no more"


@pytest.mark.parametrize("what", ["name", "updated"])
def test_extensions_are_named_as_in_neutron_lib(what: str) -> None:
    """Clients print names; some compare times."""
    theirs = {module["alias"]: module[what] for module in read_facts()}
    mine = {alias: getattr(extension, what) for alias, extension in EXTENSIONS.items() if alias in theirs}
    assert mine == {alias: theirs[alias] for alias in mine}
