"""The documentation: what a page names is there, and what there is to set is on a page."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from netloom.main.options.table import GROUPS, render_reference
from scripts.named import ROOT, Known, find_faults, find_pages, read_known

KNOWN = cache(read_known)


@pytest.mark.parametrize("page", find_pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_names_what_exists(page: Path) -> None:
    """Links, files, tests, commands with their options, make targets and configuration options: each is there."""
    assert find_faults(page, KNOWN()) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("see [x](nowhere.md)", "link to nowhere.md, which is not there"),
        ("see [x](#no-such)", "link to #no-such, where that section is not"),
        ("`test_that_nobody_wrote`", "test test_that_nobody_wrote, which is not there"),
        ("`tests/unit/test_x.py::test_that_nobody_wrote`", "test test_that_nobody_wrote, which is not there"),
        ("`main/options/nothing.py`", "file main/options/nothing.py, which is not there"),
        ("`netloom/nowhere/`", "path netloom/nowhere/, which is not there"),
        ("    netloom fly", "`netloom fly`, which is no command"),
        ("    netloom lab fly --now", "`netloom lab fly`, which is no command"),
        ("as `netloom db backup FILE --quick` does", "--quick, which `netloom db backup` does not have"),
        ("    host# netloom agent list --all", "--all, which `netloom agent list` does not have"),
        ("`make everything`", "make everything, which is not there"),
        ("`[netloom] no_such_option`", "option [netloom] no_such_option, which is not there"),
        ("    netloom server --set no_such_option=1", "option [DEFAULT] no_such_option, which is not there"),
    ],
)
def test_what_is_not_there_is_told(text: str, fault: str, tmp_path: Path) -> None:
    """A page that names something that is gone is found, whatever it is."""
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n{text}\n")
    assert fault in find_faults(page, KNOWN())


def test_what_is_there_is_taken(tmp_path: Path) -> None:
    """No fault is found in what is right, however it is written."""
    page = tmp_path / "page.md"
    page.write_text(
        "# A page\n\n[x](#a-page) [y](https://example.org/z) `[ML2] path_mtu` `[placement] auth_url`\n\n"
        "    netloom server --set bind_port=9696 \\\n        --set ml2.path_mtu=9000    # a remark --like this\n"
        "    netloom lab exec h1 -- ovs-ofctl --no-such-thing br-int\n"
        "    server# netloom agent token h1 h2\n    make lab-down\n\n`test_what_is_there_is_taken`\n"
    )
    assert find_faults(page, KNOWN()) == []


def test_every_option_says_what_it_is_for() -> None:
    """The page of options has a line for each of them, with a meaning and no cell that breaks the table."""
    page = render_reference()
    for group, options in GROUPS.items():
        for option in options:
            assert option.help, f"[{group}] {option.name}"
            assert f"| {option.name} |" in page
    assert {line.count("|") for line in page.splitlines() if line.startswith("|")} == {4}


def test_known_is_not_empty() -> None:
    """The judge knows tests, files, targets and options, so that it cannot pass by knowing of nothing to look for."""
    known: Known = KNOWN()
    assert "test_known_is_not_empty" in known.tests
    assert "netloom/main/cli.py" in known.files
    assert {"check", "lab"} <= known.targets
    assert ("netloom", "feed_server") in known.options
