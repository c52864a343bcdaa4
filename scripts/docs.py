"""The documentation, checked and completed: every link leads somewhere, every test and path it names exists; the pages
that are made from declarations are written: the API's and its coverage to docs/reference, the rest to build/docs.

    python -m scripts.docs
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
from netloom.api.reference import render_reference as render_api
from netloom.intent.catalog import CATALOG
from netloom.main.options.table import render_reference
from scripts import coverage

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "docs"
API = ROOT / "docs" / "reference" / "api"
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


def find_stale() -> list[Path]:
    """Pages of docs/reference/api that are not what the declarations make of them, or that they do not make."""
    pages = render_api(CATALOG)
    there = {path.name: path for path in API.glob("*.md")}
    stale = [API / name for name, text in pages.items() if name not in there or there[name].read_text() != text]
    return stale + [path for name, path in there.items() if name not in pages]


def write_api() -> list[Path]:
    pages, stale = render_api(CATALOG), find_stale()
    API.mkdir(parents=True, exist_ok=True)
    for path in stale:
        if path.name in pages:
            path.write_text(pages[path.name])
        else:
            path.unlink()
    return stale


def write_reference() -> list[Path]:
    """The pages made from declarations."""
    BUILD.mkdir(parents=True, exist_ok=True)
    options, api = BUILD / "options.md", BUILD / "openapi.json"
    options.write_text(render_reference())
    api.write_text(json.dumps(render_openapi(CATALOG), indent=1))
    coverage.write_page()
    return [options, api, coverage.PAGE, *write_api()]


def main() -> int:
    written = write_reference()
    tests = find_tests()
    faults = [(page, fault) for page in find_pages() for fault in find_faults(page, tests)]
    for page, fault in faults:
        print(f"{page.relative_to(ROOT)}: {fault}")
    for path in written:
        print(f"wrote {path.relative_to(ROOT)}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
