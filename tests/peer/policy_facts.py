"""Neutron's policy rules as JSON: check string by name. Runs where neutron is installed; imports nothing of ours."""

from __future__ import annotations

import json
import sys

from neutron.conf import policies

json.dump({rule.name: rule.check_str for rule in policies.list_rules()}, sys.stdout)
