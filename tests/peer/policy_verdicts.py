"""What oslo.policy's own enforcer says by Neutron's rules. Runs where neutron is installed; imports nothing of ours.

    python policy_verdicts.py < asked.json > verdicts.json

`asked.json`: {"requesters": {name: credentials}, "targets": {key: target}, "asked": [[rule, key], …]}. The answer is a
list as long as `asked`: {requester: verdict}, or null for a rule that Neutron does not have. What a target belongs to
is in it, as "network:project_id"; so nothing has to be looked up.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from typing import Any

from neutron.conf import policies
from oslo_config import cfg
from oslo_policy import _checks, policy


@_checks.register("field")
class FieldCheck(_checks.Check):
    """Neutron's check of an attribute: field:networks:shared=True, field:port:device_owner=~^network:."""

    def __call__(self, target: Mapping[str, Any], creds: Any, enforcer: Any, current_rule: Any = None) -> bool:
        name, _, wanted = self.match.partition(":")[2].partition("=")
        value = target.get(name)
        if value is None:
            return False
        if wanted.startswith("~"):
            return re.match(wanted[1:], value) is not None
        return str(value) == wanted


def main() -> None:
    conf = cfg.ConfigOpts()
    conf([], project="judge", default_config_files=[], default_config_dirs=[])
    enforcer = policy.Enforcer(conf, use_conf=False)
    enforcer.suppress_default_change_warnings = enforcer.suppress_deprecation_warnings = True
    rules = {rule.name: rule.check_str for rule in policies.list_rules()}
    enforcer.set_rules(policy.Rules.from_dict(rules))
    given = json.load(sys.stdin)
    found: list[dict[str, bool] | None] = []
    for rule, key in given["asked"]:
        verdicts = {
            # as Neutron, which asks no rule about an administrator
            name: creds["is_admin"] or bool(enforcer.enforce(rule, given["targets"][key], creds))
            for name, creds in given["requesters"].items()
        }
        found.append(verdicts if rule in rules else None)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
