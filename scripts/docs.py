"""The documentation, checked and completed: what it names exists (`named.py`); pages made of declarations are written:
options, the API and its coverage to docs/reference, the OpenAPI document to build/docs.

    python -m scripts.docs
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from netloom.api.openapi import render_openapi
from netloom.api.reference import render_reference as render_api
from netloom.intent.catalog import CATALOG
from netloom.main.options.table import render_reference
from scripts import coverage
from scripts.named import ROOT, find_faults, find_pages, read_known

BUILD = ROOT / "build" / "docs"
REFERENCE = ROOT / "docs" / "reference"
API, OPTIONS = REFERENCE / "api", REFERENCE / "options.md"


def find_stale() -> list[Path]:
    """Pages of docs/reference/api and of the options that are not what the declarations make of them, or that they do
    not make."""
    pages = render_api(CATALOG)
    there = {path.name: path for path in API.glob("*.md")}
    stale = [API / name for name, text in pages.items() if name not in there or there[name].read_text() != text]
    stale += [path for name, path in there.items() if name not in pages]
    options = OPTIONS.read_text() if OPTIONS.exists() else ""
    return stale if options == render_reference() else [*stale, OPTIONS]


def write_stale() -> list[Path]:
    pages = {API / name: text for name, text in render_api(CATALOG).items()} | {OPTIONS: render_reference()}
    stale = find_stale()
    API.mkdir(parents=True, exist_ok=True)
    for path in stale:
        if path in pages:
            path.write_text(pages[path])
        else:
            path.unlink()
    return stale


def write_reference() -> list[Path]:
    """The pages made from declarations."""
    BUILD.mkdir(parents=True, exist_ok=True)
    api = BUILD / "openapi.json"
    api.write_text(json.dumps(render_openapi(CATALOG), indent=1))
    coverage.write_page()
    return [api, coverage.PAGE, *write_stale()]


def main() -> int:
    written = write_reference()
    known = read_known()
    faults = [(page, fault) for page in find_pages() for fault in find_faults(page, known)]
    for page, fault in faults:
        print(f"{page.relative_to(ROOT)}: {fault}")
    for path in written:
        print(f"wrote {path.relative_to(ROOT)}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
