"""What the judges' reports make of a failure."""

from __future__ import annotations

from pathlib import Path

from tests.peer import ansible_run, neutron_units_run, reasons, sdk_run
from tests.peer.reasons import judge, load_reasons, render_report

PLAY = "localhost : ok=28   changed={changed}    unreachable=0    failed={failed}    skipped=0"


def test_a_failure_without_a_reason_is_one(tmp_path: Path) -> None:
    """And one with a reason is counted with it; what passes needs none."""
    path = tmp_path / "left_out.txt"
    path.write_text("# why\n\ntest_b$|test_x  wants a server\n")
    results = [{"id": f"some.test_{name}", "word": "failure", "text": f"line\n{name} is wrong"} for name in "ab"]
    results += [{"id": "some.test_x", "word": "success", "text": ""}, {"id": "c", "word": "skip", "text": "no Nova"}]
    lines, bad = render_report(results, 7.4, load_reasons(path), tail=1)
    assert bad == 1
    assert lines[:4] == ["*** some.test_a", "    a is wrong", "skipped 1: no Nova", "left out 1: wants a server"]
    assert lines[4].startswith("4 tests in 7 s: ")


def test_each_reason_is_read() -> None:
    """A line without one would excuse everything."""
    for path in (sdk_run.LEFT_OUT, neutron_units_run.LEFT_OUT):
        known = load_reasons(path)
        assert known
        assert all(reason for _, reason in known)
        assert not reasons.find_reason(
            "neutron.tests.unit.plugins.ml2.test_plugin.TestMl2PortsV2.test_list_ports", known
        )


def test_a_playbook_changes_something_once() -> None:
    """A second play that changes something fails, as one does whose first changes nothing."""
    first, second = (PLAY.format(changed=changed, failed=0) for changed in (22, 0))
    assert ansible_run.judge("one", first, second)[1]
    assert not ansible_run.judge("one", first, first)[1]
    assert not ansible_run.judge("one", second, second)[1]
    assert not ansible_run.judge("one", PLAY.format(changed=22, failed=1), second)[1]
    assert not ansible_run.judge("one", first, "it did not start")[1]


def test_too_few_that_pass_are_a_failure(tmp_path: Path) -> None:
    """A judge that ran next to nothing has judged nothing; of some that were chosen any number will do."""
    left_out = tmp_path / "left_out.txt"
    left_out.write_text("")
    results = [{"id": "one", "word": "success", "text": ""}]
    lines, good = judge(results, 1.0, left_out, 2)
    assert not good and lines[-1] == "*** only 1 tests passed; there are 2 at least"
    assert judge(results, 1.0, left_out, 0)[1]
