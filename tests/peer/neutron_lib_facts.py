"""What neutron-lib says of each attribute, as JSON. Runs where neutron-lib is installed; imports nothing of ours.

    python neutron_lib_facts.py < samples.json > facts.json

`samples.json`: a list of values. Of each attribute the answer says what it makes of each of them: ["ok", value], or
["no", reason].
"""

from __future__ import annotations

import copy
import importlib
import json
import pkgutil
import sys
from typing import Any

from neutron_lib import constants
from neutron_lib.api import definitions, validators
from oslo_config import cfg

IGNORED = {"base", "_dns"}


def describe(value: Any) -> Any:
    """JSON of a default; None for a marker, which says nothing."""
    if value is constants.ATTR_NOT_SPECIFIED:
        return {"marker": "not specified"}
    try:
        json.dumps(value)
    except TypeError:
        return {"marker": repr(value)}
    return {"value": value}


def describe_default(spec: dict[str, Any]) -> Any:
    """The default as a request without the attribute gets it."""
    default, convert = spec["default"], spec.get("convert_to")
    if convert is None or default is constants.ATTR_NOT_SPECIFIED:
        return describe(default)
    try:
        return describe(convert(default))
    except Exception as error:
        return {"marker": f"{type(error).__name__}: {error}"}


def try_value(spec: dict[str, Any], value: Any) -> list[Any]:
    """As neutron_lib.api.attributes.AttributeInfo.convert_values does: what is converted is validated."""
    convert = spec.get("convert_to")
    try:
        found = value if convert is None else convert(copy.deepcopy(value))
    except Exception as error:
        return ["no", f"{type(error).__name__}: {error}"]
    for rule, argument in spec.get("validate", {}).items():
        try:
            reason = validators.get_validator(rule)(found, argument)
        except Exception as error:  # some validators answer by raising, and some fall over what they did not expect
            reason = f"{type(error).__name__}: {error}"
        if reason:
            return ["no", str(reason)]
    try:
        json.dumps(found)
    except TypeError:
        return ["ok", str(found)]
    return ["ok", found]


def describe_attribute(spec: dict[str, Any], samples: list[Any]) -> dict[str, Any]:
    return {
        "post": bool(spec.get("allow_post")),
        "put": bool(spec.get("allow_put")),
        "visible": bool(spec.get("is_visible")),
        "filter": bool(spec.get("is_filter")),
        "sort": bool(spec.get("is_sort_key")),
        "default": describe_default(spec) if "default" in spec else None,
        "validate": sorted(spec.get("validate", {})),
        "samples": [try_value(spec, copy.deepcopy(value)) for value in samples]
        if spec.get("allow_post") or spec.get("allow_put")
        else [],
    }


def describe_collections(given: dict[str, Any], samples: list[Any]) -> dict[str, Any]:
    return {
        name: {attribute: describe_attribute(spec, samples) for attribute, spec in attributes.items()}
        for name, attributes in given.items()
    }


def describe_module(module: Any, samples: list[Any]) -> dict[str, Any]:
    subs = {
        name: {
            "parent": one.get("parent"),
            "attributes": describe_collections({name: one.get("parameters", {})}, samples),
        }
        for name, one in (getattr(module, "SUB_RESOURCE_ATTRIBUTE_MAP", None) or {}).items()
        if isinstance(one, dict)
    }
    return {
        "alias": module.ALIAS,
        "name": module.NAME,
        "updated": module.UPDATED_TIMESTAMP,
        "resources": describe_collections(getattr(module, "RESOURCE_ATTRIBUTE_MAP", None) or {}, samples),
        "sub_resources": subs,
        "actions": {k: dict(v) for k, v in (getattr(module, "ACTION_MAP", None) or {}).items()},
    }


OPTIONS = (
    cfg.IntOpt("max_allowed_address_pair", default=10),
    cfg.StrOpt("dns_domain", default="openstacklocal"),
    cfg.StrOpt("base_mac", default="fa:16:3e:00:00:00"),
)
"""Options of Neutron that some validators read."""


def main() -> None:
    cfg.CONF.register_opts(OPTIONS)
    samples = json.load(sys.stdin)
    found = []
    for one in sorted(pkgutil.iter_modules(definitions.__path__), key=lambda one: one.name):
        if one.name in IGNORED:
            continue
        module = importlib.import_module(f"neutron_lib.api.definitions.{one.name}")
        if hasattr(module, "ALIAS"):
            found.append(describe_module(module, samples))
    json.dump(found, sys.stdout, default=repr)


if __name__ == "__main__":
    main()
