"""Many openstack commands in one process. Runs where python-openstackclient is; imports nothing of ours.

    OS_CLIENT_CONFIG_FILE=clouds.yaml python -P openstack_session.py

Each line of standard input is a JSON list of words, each line of the answer {"status", "out", "err"}.
"""

from __future__ import annotations

import io
import json
import logging
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from openstackclient.shell import OpenStackShell


def run(words: list[str]) -> dict[str, Any]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        for handler in logging.getLogger("").handlers[:]:  # each shell brings its own
            logging.getLogger("").removeHandler(handler)
        status: int | str | None
        try:
            status = OpenStackShell().run(words)
        except SystemExit as error:  # argparse
            status = error.code
    return {"status": status, "out": out.getvalue(), "err": err.getvalue()}


def main() -> None:
    answers = sys.stdout
    for line in sys.stdin:
        answers.write(json.dumps(run(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
