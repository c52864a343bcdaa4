"""Policy rules that a server elsewhere decides (`http:`, `https:`), and those of plugins.

Law: a rule that cannot be asked allows nothing: that is a 503 which says so, never a guess.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from oslo_policy import _checks as checks

from netloom.api.aside import do_aside
from netloom.intent.errors import ApiError

LOG = logging.getLogger(__name__)
OURS = (checks.TrueCheck, checks.FalseCheck, checks.RuleCheck, checks.RoleCheck, checks.GenericCheck)
"""Checks that are decided here, without oslo.policy."""
NO_TIME_S = 60.0


def ask_elsewhere(check: Callable[[], Any], enforcer: Any, rule: str) -> bool:
    """What the check says of its object; no where it needs a value that the object has not. Raises ApiError 503."""
    timeout_s = enforcer.conf.oslo_policy.remote_timeout if enforcer is not None else NO_TIME_S
    try:
        return bool(do_aside(check, timeout_s))
    except KeyError:
        return False
    except Exception as error:
        LOG.error("policy rule %s cannot be asked: %s", rule, str(error) or type(error).__name__)
        message = f"The policy rule {rule} cannot be asked now. Try again later."
        raise ApiError(503, "ServiceUnavailable", message) from None


def is_elsewhere(rules: Mapping[str, Any]) -> bool:
    """Whether any rule has a check that is not decided here."""
    return any(type(leaf) not in OURS for check in rules.values() for leaf in find_leaves(check))


def find_leaves(check: Any) -> Iterator[Any]:
    if isinstance(check, checks.NotCheck):
        yield from find_leaves(check.rule)
    elif isinstance(check, (checks.AndCheck, checks.OrCheck)):
        for one in check.rules:
            yield from find_leaves(one)
    else:
        yield check
