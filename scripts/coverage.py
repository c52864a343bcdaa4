"""docs/reference/coverage.md: each extension that upstream Neutron serves, whether we do, and the tests that prove it.

    python -m scripts.coverage          writes the page (make docs does)
    python -m scripts.coverage --check  ends with 1 if the page is not what it would write, or a proof is missing

Which tests prove what, tests/peer/alias_proofs.txt says.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from netloom.intent.catalog import EXTENSIONS

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "coverage.md"
UPSTREAM = ROOT / "tests" / "peer" / "upstream_aliases.txt"
PROOFS = ROOT / "tests" / "peer" / "alias_proofs.txt"
HEAD = """# Coverage of the Networking API

Every extension that upstream Neutron 29 serves with ML2 and Open vSwitch, and whether Netloom serves it; below them
those that upstream serves with other drivers or service plug-ins, and Netloom as well. Made by `scripts/coverage.py`
from the declarations and `tests/peer/alias_proofs.txt` (`make docs`); not to be edited.

Beside the tests named here, each attribute is compared with neutron-lib's definition of it and each policy rule with
Neutron's, and the whole API is driven by Tempest and the openstack command (`make peer`) and by schemathesis.

Served: {served} of {count}.

| alias | served | tests that prove it |
|---|---|---|"""
FOLDERS = ("unit/api", "unit/intent", "property", "dataplane")


def read_proofs() -> dict[str, list[str]]:
    """Names of tests by alias, as "intent_dns.domains" for test_domains of test_intent_dns.py."""
    lines = [line for line in PROOFS.read_text().splitlines() if line and not line.startswith("#")]
    return {alias: names.split() for alias, _, names in (line.partition(": ") for line in lines)}


def find_places() -> dict[str, str]:
    """Where each test is, by the name that proofs call it: "unit/intent/test_intent_dns.py"."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / "tests" / folder).glob("test_*.py")):
            stem = path.stem.removeprefix("test_")
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    found[f"{stem}.{node.name.removeprefix('test_')}"] = f"{folder}/{path.name}"
    return found


def find_faults(proofs: Mapping[str, Sequence[str]], places: Mapping[str, str]) -> Iterator[str]:
    """What keeps the page from being true."""
    for alias in EXTENSIONS:
        if not proofs.get(alias):
            yield f"{alias} is announced and no test is said to prove it"
    for alias, names in proofs.items():
        if alias not in EXTENSIONS:
            yield f"{alias} has tests and is not announced"
        yield from (f"{alias}: there is no test {name}" for name in names if name not in places)


def render_page(proofs: Mapping[str, Sequence[str]], places: Mapping[str, str]) -> str:
    upstream = UPSTREAM.read_text().split()
    more = sorted(set(EXTENSIONS) - set(upstream))
    rows = [render_row(alias, proofs.get(alias, ()), places) for alias in (*upstream, *more)]
    head = HEAD.format(served=sum(alias in EXTENSIONS for alias in upstream), count=len(upstream))
    return "\n".join([head, *rows, ""])


def render_row(alias: str, names: Sequence[str], places: Mapping[str, str]) -> str:
    proofs = [
        f"[`test_{name.partition('.')[2]}`](../../tests/{places[name]})" for name in names if name in places
    ]  # fmt: skip
    return f"| `{alias}` | {'yes' if alias in EXTENSIONS else 'no'} | {'<br>'.join(proofs)} |"


def write_page() -> None:
    PAGE.write_text(render_page(read_proofs(), find_places()))


def find_all_faults() -> list[str]:
    """As `find_faults`, and whether the page is current."""
    proofs, places = read_proofs(), find_places()
    faults = list(find_faults(proofs, places))
    if not PAGE.exists() or PAGE.read_text() != render_page(proofs, places):
        faults.append(f"{PAGE.relative_to(ROOT)} is old: make docs")
    return faults


def main() -> int:
    if "--check" not in sys.argv[1:]:
        write_page()
        print(f"wrote {PAGE.relative_to(ROOT)}")
    faults = find_all_faults()
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
