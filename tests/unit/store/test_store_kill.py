"""kill -9 at any instant: all that was answered is there afterwards, and nothing is there in part."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from netloom.store.check import check_store
from netloom.store.engine import open_reader, open_shared
from netloom.store.load import load_snapshot
from netloom.store.log import read_log
from tests.unit.store.killed_server import digest
from tests.unit.store.store_kit import SMALL, url_of

KILLS = int(os.environ.get("NETLOOM_KILLS", "12"))
ROOT = Path(__file__).parents[3]
Digests = list[tuple[str, str | None]]
"""Ids of the ports that an operation changed, with the digests of their documents (None: deleted)."""


def run_and_kill(parent: subprocess.Popen[str], delay_s: float) -> list[tuple[int, Digests]]:
    """Start a child, kill it after `delay_s`, and give what it answered until then."""
    assert parent.stdin and parent.stdout
    parent.stdin.write("go\n")
    parent.stdin.flush()
    child = int(parent.stdout.readline())
    time.sleep(delay_s)  # the instant of the kill is the input of this test
    os.kill(child, signal.SIGKILL)
    answers = []
    while line := json.loads(parent.stdout.readline()):
        assert isinstance(line[0], int), line
        answers.append((line[0], [(id, found) for id, found in line[1]]))
    return answers


def compare(url: str, answers: dict[int, Digests]) -> None:
    """Assert that the log has every answer as it was given, in a row without gaps."""
    store = open_reader(url)
    entries = read_log(store, 0)
    snapshot = load_snapshot(store, SMALL)
    store.close()
    assert [entry.revision for entry in entries] == list(range(1, len(entries) + 1))
    assert snapshot.revision == len(entries) >= max(answers, default=0)
    for entry in entries:
        found = [(change.id, digest(change.doc)) for change in entry.changes]
        assert answers.get(entry.revision, found) == found


def test_kill_9_loses_no_answer(tmp_path: Path) -> None:
    """Servers in a row are killed, at their start or under load; each next one finds every answer."""
    dice = random.Random(7)
    open_shared(url_of(tmp_path)).close()  # on a busy machine no child lives for as long as a first start takes
    command = [sys.executable, "-m", "tests.unit.store.killed_server", url_of(tmp_path)]
    answers: dict[int, Digests] = {}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, pipesize=1 << 20
    ) as parent:
        for kill in range(1, 6 * KILLS):
            patience_s = (kill - 1) // KILLS  # on a busy machine those of the first round die before they say anything
            for revision, changes in run_and_kill(parent, dice.choice((0.0, 0.3)) + dice.random() * 0.1 + patience_s):
                assert revision not in answers, "a revision was used twice"
                answers[revision] = changes
            if kill % 4 == 0:
                compare(url_of(tmp_path), answers)
                assert check_store(url_of(tmp_path), SMALL) == []
            if kill % 4 == 0 and kill >= KILLS and len(answers) > KILLS:
                break
        assert parent.stdin
        parent.stdin.close()
    assert len(answers) > KILLS
