"""The types of QoS rule: what each limits or promises, in which directions, and which rules cannot stand together.

Law: one row of TYPES is all there is to a type; resources, aliases, conflicts and the list of types are made of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netloom.intent import kinds
from netloom.intent.errors import conflict
from netloom.intent.schema import GENERATED, REQUIRED, Doc, Field, Kind

EGRESS, INGRESS, ANY = "egress", "ingress", "any"
DSCP_MARKS = (0, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 44, 46, 48, 56)
"""Class selectors, assured and expedited forwarding, voice admit: RFC 2474, 2597, 3246, 5865."""
MAX_RATE = 2**31 - 1


@dataclass(frozen=True, slots=True)
class RuleType:
    """A type of rule. `rate`: the attribute that says how much, `burst`: the one that says how much at once."""

    name: str
    doc: str
    rate: str
    burst: str = ""
    directions: tuple[str, ...] = ()
    alias: str = "qos"
    direction_alias: str = "qos"
    short: str = ""  # the extension that serves it without its policy; empty: none does

    @property
    def kind(self) -> str:
        return f"{self.name}_rule"

    @property
    def placed(self) -> bool:
        """Whether Placement keeps count of what it promises."""
        return self.name in PLACED

    @property
    def attributes(self) -> tuple[str, ...]:
        return tuple(name for name in (self.rate, self.burst, "direction" if self.directions else "") if name)


_BOTH = (INGRESS, EGRESS)
PLACED = ("minimum_bandwidth", "minimum_packet_rate")

TYPES: Mapping[str, RuleType] = {
    rule.name: rule
    for rule in (
        RuleType(
            "bandwidth_limit", "A limit, kbit/s.", "max_kbps", "max_burst_kbps", _BOTH,
            direction_alias="qos-bw-limit-direction", short="qos-rules-alias",
        ),
        RuleType("dscp_marking", "A DSCP value that packets leave with.", "dscp_mark", short="qos-rules-alias"),
        RuleType(
            "minimum_bandwidth", "A guarantee, kbit/s.", "min_kbps", "", _BOTH,
            direction_alias="qos-bw-minimum-ingress", short="qos-rules-alias",
        ),
        RuleType(
            "minimum_packet_rate", "A guarantee, thousands of packets a second.", "min_kpps", "", (ANY, *_BOTH),
            alias="qos-pps-minimum", direction_alias="qos-pps-minimum", short="qos-pps-minimum-rule-alias",
        ),
        RuleType(
            "packet_rate_limit", "A limit, thousands of packets a second.", "max_kpps", "max_burst_kpps", _BOTH,
            alias="qos-pps", direction_alias="qos-pps",
        ),
    )
}  # fmt: skip
"""By name, in the order in which a policy shows its rules."""

ORDER = list(TYPES)
MEANINGS = {
    "max_kbps": "The most, kbit/s.",
    "max_burst_kbps": "The most at once, kbit; 0: as the host thinks fit.",
    "dscp_mark": "The DSCP value.",
    "min_kbps": "The least, kbit/s.",
    "min_kpps": "The least, thousands of packets a second.",
    "max_kpps": "The most, thousands of packets a second.",
    "max_burst_kpps": "The most at once, thousands of packets; 0: as the host thinks fit.",
    "direction": "Which way, as the port sees it.",
}
_RATE = kinds.int_kind(0, MAX_RATE)


def parse_mark(value: Any) -> int:
    number: int = kinds.parse_any_int(value)
    if number not in DSCP_MARKS:
        raise ValueError(f"'{kinds.show(value)}' is not in {list(DSCP_MARKS)}")
    return number


_MARK = Kind("integer", parse_mark, {"type": "integer", "enum": list(DSCP_MARKS)}, kinds.filter_int)


def find_kind(rule: RuleType, name: str) -> Kind:
    if name == "direction":
        return kinds.choice_kind(*rule.directions)
    return _MARK if name == "dscp_mark" else _RATE


def make_fields(rule: RuleType, post: bool = True) -> tuple[Field, ...]:
    """The attributes of a rule; without `post` those of its alias, which only changes what is there."""
    return (
        Field("id", kinds.UUID, "The rule's id.", GENERATED, post=False, sort=True),
        *(
            Field(
                name, find_kind(rule, name), MEANINGS[name], find_default(rule, name) if post else GENERATED,
                post=post, put=True, sort=True, alias=rule.direction_alias if name == "direction" else rule.alias,
            )
            for name in rule.attributes
        ),
        Field("qos_policy_id", kinds.UUID, "Its policy.", GENERATED, post=False, visible=False, filter=False),
        Field("project_id", kinds.PROJECT, "Its policy's owner.", GENERATED, post=False, visible=False, filter=False),
    )  # fmt: skip


def find_default(rule: RuleType, name: str) -> Any:
    if name == "direction":
        return EGRESS
    return 0 if name == rule.burst else REQUIRED


def show_rule(rule: RuleType, doc: Doc) -> dict[str, Any]:
    """A rule as its policy shows it."""
    shown = {name: doc[name] for name in rule.attributes}
    return {"id": doc["id"], "qos_policy_id": doc["qos_policy_id"], **shown, "type": rule.name}


def find_rules(policy: Doc, *names: str) -> list[Doc]:
    """A policy's rules of these types, in the order in which they were made."""
    return [rule for rule in policy["rules"] if rule["type"] in names]


def sort_rules(rules: Sequence[Doc]) -> list[Doc]:
    return sorted(rules, key=lambda rule: ORDER.index(rule["type"]))


# -- what cannot stand together ----------------------------------------------------------------------------------------


def check_conflicts(policy: Doc, rule: RuleType, given: Doc, new: Doc) -> None:
    """Raises ApiError 409 where a policy cannot have the rule `new`. `given`: what the request says of it."""
    others = [other for other in policy["rules"] if other["id"] != new["id"]]
    check_rates(policy, given)
    check_directions(policy, rule, new, others)
    for other in others:
        if other["type"] == rule.name and other.get("direction") == new.get("direction"):
            raise conflict(
                "QoSRulesConflict",
                f"Rule {rule.name} conflicts with rule {other['id']} which already exists in QoS Policy "
                f"{policy['id']}.",
            )


def check_rates(policy: Doc, given: Doc) -> None:
    """No bandwidth is promised beyond the limit of its direction. A request that says no direction means each."""
    direction = given.get("direction")
    for other in find_rules(policy, "minimum_bandwidth", "bandwidth_limit"):
        if direction and other["direction"] != direction:
            continue
        if other["type"] == "minimum_bandwidth" and other["min_kbps"] > given.get("max_kbps", MAX_RATE):
            raise parameter_conflict(policy, given["max_kbps"], other["type"], other["min_kbps"])
        if other["type"] == "bandwidth_limit" and other["max_kbps"] < given.get("min_kbps", 0):
            raise parameter_conflict(policy, given["min_kbps"], other["type"], other["max_kbps"])


def check_directions(policy: Doc, rule: RuleType, new: Doc, others: Sequence[Doc]) -> None:
    """Packet rates are promised either for each direction or for both together."""
    if rule.name != "minimum_packet_rate":
        return
    for other in others:
        if other["type"] == rule.name and (other["direction"] == ANY) != (new["direction"] == ANY):
            raise parameter_conflict(policy, new["direction"], rule.name, other["direction"])


def parameter_conflict(policy: Doc, value: Any, type: str, existing: Any) -> Exception:
    return conflict(
        "QoSRuleParameterConflict",
        f"Unable to add the rule with value {value} to the policy {policy['id']} as the existing rule of type {type} "
        f"has value {existing}.",
    )


# -- the list of types -------------------------------------------------------------------------------------------------


DRIVERS = ("openvswitch", "linuxbridge")


def show_type(rule: RuleType) -> dict[str, Any]:
    """A type with what each driver makes of it; the names are those of Neutron's drivers."""
    parameters = [
        {"parameter_name": name, "parameter_values": values, "parameter_type": type}
        for name in rule.attributes
        for type, values in (find_values(rule, name),)
    ]
    drivers = [{"name": name, "supported_parameters": parameters} for name in DRIVERS]
    return {"type": rule.name, "drivers": drivers}


def find_values(rule: RuleType, name: str) -> tuple[str, Any]:
    if name == "direction":
        return "choices", list(rule.directions)
    if name == "dscp_mark":
        return "choices", list(DSCP_MARKS)
    return "range", {"start": 0, "end": MAX_RATE}
