"""Access rules of an application credential: the only requests that its tokens may make (Identity API v3).

Law: a token that has rules is good for nothing that no rule names; a rule that cannot be read names nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

SERVICE_TYPE = "network"
"""Ours in Keystone's catalog; rules for other services are not for us."""
HEADER = {"OpenStack-Identity-Access-Rules": "1.0"}
"""Who asks about a token says so that he heeds access rules; otherwise Keystone does not show such tokens."""

AccessRules = tuple[tuple[str, str], ...]
"""Method and path pattern of each rule for us."""
_WILD = re.compile(r"\*\*|\*|\{[^}/]*\}")


def read_access_rules(token: Mapping[str, Any]) -> AccessRules | None:
    """The rules of a token document; None where it has none and may do all that its roles may."""
    rules: Sequence[Mapping[str, str]] | None = (token.get("application_credential") or {}).get("access_rules")
    if rules is None:
        return None
    return tuple((rule["method"], rule["path"]) for rule in rules if rule["service"] == SERVICE_TYPE)


def is_allowed(rules: AccessRules | None, method: str, path: str) -> bool:
    """Whether a request with this path from the root (without its query) is among what the rules name."""
    return rules is None or any(method == named and make_pattern(p).fullmatch(path) for named, p in rules)


@lru_cache(maxsize=4096)
def make_pattern(path: str) -> re.Pattern[str]:
    """`*` and `{name}` stand for one part of a path, `**` for any number of parts."""
    parts, at = [], 0
    for wild in _WILD.finditer(path):
        parts += [re.escape(path[at : wild.start()]), ".+" if wild[0] == "**" else "[^/]+"]
        at = wild.end()
    return re.compile("".join(parts) + re.escape(path[at:]))
