"""Each rule lets through the roles that the table says and no others; and a request gets what the table says."""

from __future__ import annotations

from netloom.intent.catalog import CATALOG
from netloom.intent.schema import Doc, Resource
from tests.unit.api.policy_table import (
    REQUESTERS,
    TABLE,
    Case,
    decide,
    find_cases,
    find_cloud,
    find_rule_names,
    find_target,
    render_table,
)


def test_every_rule_lets_through_who_the_table_says() -> None:
    """A change of who may do what shows in policy_roles.txt; python -m tests.unit.api.policy_table writes it."""
    assert render_table() == TABLE.read_text()


def test_every_rule_is_in_the_table() -> None:
    """For administrators, each role of the own project and of another, and services."""
    named = {line.split()[0] for line in TABLE.read_text().splitlines()[1:]}
    assert named == set(find_rule_names())
    assert len(REQUESTERS) == 8


OPEN_TO_ALL = {
    "create_port:device_owner", "update_port:device_owner",  # beside create_port and update_port, which are not
    "create_rbac_policy:target_tenant", "update_rbac_policy:target_tenant",
    "get_availability_zone", "get_default_security_group_rule", "get_flavor", "get_rule_type", "get_service_provider",
    "next_providers",
}  # fmt: skip
"""Rules that strangers with a role of a reader pass, the object being another project's."""


def test_no_rule_shuts_administrators_out_and_none_is_for_strangers() -> None:
    """Who reads in another project sees only what is shared, outside, or for everyone to know."""
    open_to_all = set()
    for case in find_cases():
        verdicts = decide(case)
        assert verdicts["admin"], case.rule
        if case.variant == "own" and verdicts["other reader"]:
            open_to_all.add(case.rule)
    assert open_to_all == OPEN_TO_ALL


def find_url(resource: Resource, target: Doc) -> str:
    above = f"/{CATALOG[resource.parent].path}/{target[resource.upper_key]}" if resource.parent else ""
    return f"/v2.0{above}/{resource.path}/{target[resource.key]}"


def test_the_verdict_is_what_a_request_gets() -> None:
    """Who may see an object by the table gets it, and for anybody else it is not there."""
    cloud = find_cloud()
    for resource in CATALOG.values():
        if resource.create is None or resource.rules.get is None:
            continue
        target = find_target(resource, cloud.start)
        may = decide(Case(f"get_{resource.rule}", resource, "own", target, cloud.start))
        for name, requester in REQUESTERS.items():
            roles = ",".join(requester.roles)
            client = cloud.member.as_user({"X-Project-Id": requester.project_id, "X-User-Id": "u", "X-Roles": roles})
            assert client.get(find_url(resource, target)).status == (200 if may[name] else 404), (resource.name, name)
