"""docs/reference/coverage.md: each extension that upstream Neutron serves, whether we do, and tests that speak of it.

    python scripts/coverage.py          writes the page
    python scripts/coverage.py --check  ends with 1 if the page is not what it would write

A test is found by what an extension brings: its attributes, actions and resources as they are declared, and its alias.
What an extension only changes in behaviour, BEHAVIOURS names.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from netloom.intent.catalog import CATALOG, EXTENSIONS

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "coverage.md"
UPSTREAM = ROOT / "tests" / "peer" / "upstream_aliases.txt"
FOLDERS = ("unit/api", "unit/intent", "peer", "property", "dataplane")
SHOWN = 3

BEHAVIOURS: Mapping[str, Sequence[str]] = {}
"""Words that tests of an extension without attributes of its own have in their names."""


@dataclass(frozen=True, slots=True)
class Test:
    """A test function: where it is, its name, and all that it says."""

    place: str
    name: str
    text: str


def find_tests() -> list[Test]:
    found = []
    for folder in FOLDERS:
        for path in sorted((ROOT / "tests" / folder).glob("test_*.py")):
            source = path.read_text()
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    text = ast.get_source_segment(source, node) or ""
                    decorated = "".join(ast.get_source_segment(source, one) or "" for one in node.decorator_list)
                    found.append(Test(f"{folder}/{path.stem}", node.name, decorated + text))
    return found


def find_words(alias: str) -> Iterator[str]:
    """What tests of the extension are likely to name."""
    yield from BEHAVIOURS.get(alias, ())
    for resource in CATALOG.values():
        if resource.alias == alias:
            yield resource.path
            yield resource.name
        yield from (f.name for f in resource.fields if f.alias == alias)
        yield from (action.name for action in resource.actions if action.alias == alias)
        yield from (linked.path for linked in resource.linked if linked.alias == alias)
    yield alias


def find_proofs(alias: str, tests: Sequence[Test]) -> list[Test]:
    """Those that name it, the ones that say so in their own name first."""
    words = [re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])") for word in dict.fromkeys(find_words(alias))]
    ranked = []
    for number, test in enumerate(tests):
        count = sum(len(word.findall(test.text)) for word in words)
        if count:
            ranked.append((-count / (20 + test.text.count("\n")), number))
    return [tests[number] for _, number in sorted(ranked)[:SHOWN]]


def render_page() -> str:
    upstream, tests = UPSTREAM.read_text().split(), find_tests()
    rows = [render_row(alias, tests) for alias in upstream]
    served = sum(alias in EXTENSIONS for alias in upstream)
    more = sorted(set(EXTENSIONS) - set(upstream))
    return "\n".join(
        [
            "# Coverage of the Networking API", "",
            "Every extension that upstream Neutron 29 serves with ML2 and Open vSwitch, and whether Netloom serves it.",
            "Made by `scripts/coverage.py` from the declarations and the tests; not to be edited.", "",
            f"Served: {served} of {len(upstream)}." + (f" Besides: {', '.join(more)}." if more else ""), "",
            "| alias | served | tests that prove it |", "|---|---|---|", *rows, "",
        ]
    )  # fmt: skip


def render_row(alias: str, tests: Sequence[Test]) -> str:
    if alias not in EXTENSIONS:
        return f"| `{alias}` | no | |"
    proofs = find_proofs(alias, tests)
    return f"| `{alias}` | yes | {'<br>'.join(f'{one.place} `{one.name}`' for one in proofs) or '**none**'} |"


def main() -> int:
    text = render_page()
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.exists() and PAGE.read_text() == text else 1
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(text)
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
