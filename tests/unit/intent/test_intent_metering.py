"""Metering labels and their rules."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.intent.errors import ApiError
from netloom.intent.schema import Doc, parse_create, parse_update
from tests.unit.intent.intent_kit import MISSING, World, refused


@pytest.fixture
def w() -> World:
    return World()


def label(w: World, **body: Any) -> Doc:
    return w.create("metering_label", body)[0]


def rule(w: World, of: Doc, **body: Any) -> Doc:
    given = {"metering_label_id": of["id"], "direction": "ingress", **body}
    return w.create("metering_label_rule", given)[0]


def test_a_label_and_its_rules(w: World) -> None:
    """A label of the project, and rules under it that go with it."""
    made = label(w, name="web", description="d")
    assert (made["name"], made["description"], made["project_id"], made["shared"]) == ("web", "d", "p1", False)
    one = rule(w, made, remote_ip_prefix="10.0.0.0/24")
    assert (one["excluded"], one["remote_ip_prefix"], one["source_ip_prefix"]) == (False, "10.0.0.0/24", None)
    w.delete("metering_label", made)
    assert w.snapshot.count("metering_label_rule") == 0


@pytest.mark.parametrize("prefix, other", [("10.0.0.0/24", "10.0.0.128/25"), ("fd02::/64", "fd02::/48")])
def test_remote_prefixes_do_not_overlap(w: World, prefix: str, other: str) -> None:
    """Traffic is not counted twice in one direction; another direction or sense is another count."""
    made = label(w)
    rule(w, made, remote_ip_prefix=prefix)
    with refused(409, "MeteringLabelRuleOverlaps", other):
        rule(w, made, remote_ip_prefix=other)
    rule(w, made, remote_ip_prefix=other, excluded=True)
    rule(w, made, remote_ip_prefix=other, direction="egress")
    rule(w, made, remote_ip_prefix="192.0.2.0/24")
    rule(w, label(w), remote_ip_prefix=other)


def test_prefixes_overlap_only_within_an_ip_version(w: World) -> None:
    """0.0.0.0/0 and ::/0 have no address in common."""
    made = label(w)
    rule(w, made, remote_ip_prefix="0.0.0.0/0")
    rule(w, made, remote_ip_prefix="::/0")


def test_source_and_destination(w: World) -> None:
    """Source and destination go together, but not with a remote prefix; one of the three is needed."""
    made = label(w)
    both = rule(w, made, source_ip_prefix="10.0.0.0/24", destination_ip_prefix="192.0.2.1")
    assert (both["source_ip_prefix"], both["destination_ip_prefix"]) == ("10.0.0.0/24", "192.0.2.1/32")
    with refused(400, "Invalid", "in conjunction with"):
        rule(w, made, remote_ip_prefix="10.0.0.0/24", source_ip_prefix="10.0.0.0/24")
    with refused(400, "Invalid", "at least one of the following parameters"):
        rule(w, made)


def test_a_rule_needs_its_label(w: World) -> None:
    """A label that is not there is 404."""
    with refused(404, "MeteringLabelNotFound", MISSING):
        rule(w, {"id": MISSING}, remote_ip_prefix="10.0.0.0/24")


def test_neither_changes(w: World) -> None:
    """Labels and rules are made and deleted; there is no update."""
    made = label(w)
    with refused(404, "HTTPNotFound"):
        w.update("metering_label", made)
    with pytest.raises(ApiError):
        parse_update(w.snapshot.catalog["metering_label"], {"name": "x"})
    one = rule(w, made, remote_ip_prefix="10.0.0.0/24")
    w.delete("metering_label_rule", one)
    assert w.snapshot.count("metering_label_rule") == 0


@pytest.mark.parametrize(
    "body, words",
    [
        ({"direction": "both"}, "'both' is not in"),
        ({"remote_ip_prefix": "10.0.0.0/33"}, "'10.0.0.0/33' is not a valid IP subnet"),
        ({"excluded": "maybe"}, "cannot be converted to boolean"),
        ({"metering_label_id": 1}, "is not a valid UUID"),
    ],
)
def test_bad_bodies(w: World, body: dict[str, Any], words: str) -> None:
    """A body that cannot be a rule is refused with the attribute and the reason."""
    good = {"metering_label_id": MISSING, "direction": "ingress"}
    with pytest.raises(ApiError) as error:
        parse_create(w.snapshot.catalog["metering_label_rule"], {**good, **body})
    assert error.value.status == 400
    assert words in error.value.message
