"""The results of a subunit stream as JSON. Runs in the environment that has python-subunit; imports nothing of ours.

    stestr last --subunit | python subunit_results.py > results.json

A list of {"id", "status", "seconds", "reason"}; `reason` is why a test was skipped, or the end of its traceback.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import subunit
import testtools


def describe(test: dict[str, Any]) -> dict[str, Any]:
    began, ended = test["timestamps"]
    details = test["details"]
    name = "reason" if test["status"] == "skip" else "traceback"
    found = [content.as_text() for key, content in details.items() if key.startswith(name)]
    seconds = (ended - began).total_seconds() if began and ended else 0.0
    return {"id": test["id"], "status": test["status"], "seconds": seconds, "reason": "\n".join(found)[-4000:]}


def main() -> None:
    found: list[dict[str, Any]] = []
    sink = testtools.StreamToDict(lambda test: found.append(describe(test)))
    sink.startTestRun()
    subunit.ByteStreamToStreamResult(sys.stdin.buffer, non_subunit_name="stdout").run(sink)
    sink.stopTestRun()
    json.dump([one for one in found if one["id"] != "stdout"], sys.stdout)


if __name__ == "__main__":
    main()
