"""The documentation, checked and completed: every link leads somewhere, every test and path it names exists; the
reference pages that are made from declarations are written to build/docs.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from netloom.api.openapi import render_openapi
from netloom.intent.catalog import CATALOG
from netloom.main.option_table import render_reference

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "docs"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NAMED_TEST = re.compile(r"`(?:tests/[\w/]+\.py::)?(test_[a-z0-9_]+)`")
NAMED_PATH = re.compile(r"`((?:netloom|tests|docs|scripts|changes)/[\w./-]+\.(?:py|md|story|txt))`")


def find_pages() -> list[Path]:
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    return [ROOT / name for name in names]


def find_tests() -> set[str]:
    """Names of test functions, and of test files without their ending."""
    names = set()
    for path in (ROOT / "tests").rglob("*.py"):
        names.add(path.stem)
        tree = ast.parse(path.read_text())
        names |= {n.name for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))}
    return names


def find_faults(page: Path, tests: set[str]) -> Iterator[str]:
    text = page.read_text()
    for target in LINK.findall(text):
        path = target.partition("#")[0]
        if path and "://" not in target and not target.startswith("mailto:") and not (page.parent / path).exists():
            yield f"link to {target}, which is not there"
    for name in NAMED_TEST.findall(text):
        if name not in tests:
            yield f"test {name}, which is not there"
    for name in NAMED_PATH.findall(text):
        if not (ROOT / name).exists():
            yield f"file {name}, which is not there"


def write_reference() -> list[Path]:
    """The pages made from declarations."""
    BUILD.mkdir(parents=True, exist_ok=True)
    options, api = BUILD / "options.md", BUILD / "openapi.json"
    options.write_text(render_reference())
    api.write_text(json.dumps(render_openapi(CATALOG), indent=1))
    return [options, api]


def main() -> int:
    tests = find_tests()
    faults = [(page, fault) for page in find_pages() for fault in find_faults(page, tests)]
    for page, fault in faults:
        print(f"{page.relative_to(ROOT)}: {fault}")
    for path in write_reference():
        print(f"wrote {path.relative_to(ROOT)}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
