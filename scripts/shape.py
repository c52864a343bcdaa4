"""The shape of the code in numbers, beside code that reads well. For looking at in a review: nothing fails here.

Functions nested in others count alone and inside their parent; docstrings count as lines. "branches" is one more than
the if, for, while, except, conditional, comprehension and extra boolean operands of a function.
"""

from __future__ import annotations

import ast
import re
import statistics
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
Function = ast.FunctionDef | ast.AsyncFunctionDef
BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.comprehension)
NESTING = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.With, ast.AsyncWith, ast.Match)
MOCK = re.compile(r"mock\.|Mock\(|patch\(|patch\.object|monkeypatch\.set")
PURE = ("unit", "stories", "property")

# Measured in November 2026 on public snapshots, by the same counting.
ANCHORS = {
    "lines of a file: median, p90, max": ("241, 1354, 1982", "153, 369, 659", "142, 548, 876", "≤ p90 400"),
    "lines of a function: median, p90, max": ("9, 37, 434", "7, 39, 64", "5, 27, 149", "≤ 8, ≤ 30"),
    "functions nested deeper than 3": ("5.5 %", "3.2 %", "3.8 %", "≈ 3 %"),
    "functions with more than 10 branches": ("5.0 %", "3.2 %", "4.2 %", "≈ 3 %"),
    "docstrings: module, class, function": ("100, 98, 69 %", "0, 26, 13 %", "2, 14, 7 %", ""),
    "functions with a return type": ("< 1 %", "100 %", "97 %", "100 %"),
    "test lines per source line": ("1.5", "1.1", "1.6", ""),
    "test functions, share that is pure": ("63 %", "100 %", "", "≥ 90 %"),
    "mock uses per test": ("0.13", "0.00", "0.09", ""),
}
NAMES = ("faucet", "h11", "starlette", "aim")


@dataclass(frozen=True, slots=True)
class Module:
    path: Path
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    @property
    def functions(self) -> list[Function]:
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    @property
    def classes(self) -> list[ast.ClassDef]:
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef)]


def read_modules(folder: Path) -> list[Module]:
    return [
        Module(path, text, ast.parse(text))
        for path in sorted(folder.rglob("*.py"))
        if (text := path.read_text()).strip()
    ]


def count_lines(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def count_branches(function: Function) -> int:
    extra = sum(len(node.values) - 1 for node in ast.walk(function) if isinstance(node, ast.BoolOp))
    return 1 + extra + sum(isinstance(node, BRANCHES) for node in ast.walk(function))


def measure_depth(node: ast.AST, depth: int = 0) -> int:
    """How many blocks the innermost statement stands in. An elif is no deeper than its if."""
    deepest = depth
    for child in ast.iter_child_nodes(node):
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deeper = isinstance(child, NESTING) and not is_elif
        deepest = max(deepest, measure_depth(child, depth + deeper))
    return deepest


def spread(numbers: Iterable[int]) -> str:
    ordered = sorted(numbers)
    return f"{statistics.median(ordered):g}, {ordered[int(len(ordered) * 0.9)]}, {ordered[-1]}"


def share(flags: Iterable[bool]) -> float:
    counted = list(flags)
    return 100 * sum(counted) / max(len(counted), 1)


def find_tests(modules: Iterable[Module]) -> Iterator[tuple[Module, Function]]:
    return ((m, f) for m in modules for f in m.functions if f.name.startswith("test"))


def measure(source: list[Module], tests: list[Module]) -> dict[str, str]:
    functions = [f for m in source for f in m.functions]
    documented = (
        share(ast.get_docstring(m.tree) is not None for m in source),
        share(ast.get_docstring(c) is not None for m in source for c in m.classes),
        share(ast.get_docstring(f) is not None for f in functions),
    )
    cases = list(find_tests(tests))
    stories = len(list((ROOT / "tests/stories").rglob("*.story"))) + len(list((ROOT / "tests/stories").rglob("*.txt")))
    pure = sum(m.path.relative_to(ROOT / "tests").parts[0] in PURE for m, _ in cases) + stories
    mocks = sum(len(MOCK.findall(m.text)) for m in tests)
    values = (
        spread(m.lines for m in source),
        spread(map(count_lines, functions)),
        f"{share(measure_depth(f) > 3 for f in functions):.1f} %",
        f"{share(count_branches(f) > 10 for f in functions):.1f} %",
        ", ".join(f"{part:.0f}" for part in documented) + " %",
        f"{share(f.returns is not None for f in functions):.0f} %",
        f"{sum(m.lines for m in tests) / sum(m.lines for m in source):.2f}",
        f"{len(cases) + stories}, {100 * pure / max(len(cases) + stories, 1):.0f} %",
        f"{mocks / max(len(cases), 1):.2f}",
    )
    return dict(zip(ANCHORS, values, strict=True))


def print_table(console: Console, measured: dict[str, str]) -> None:
    table = Table(title="Shape", title_justify="left", show_edge=False)
    for column in ("", "netloom", *NAMES):
        table.add_column(column)
    for name, value in measured.items():
        table.add_row(name, f"[bold]{value}[/bold]", *ANCHORS[name])
    console.print(table)


def print_folders(console: Console, source: list[Module]) -> None:
    table = Table(title="By folder", title_justify="left", show_edge=False)
    for column in ("folder", "files", "lines", "functions", "lines of a function: median, p90, max"):
        table.add_column(column, justify="left" if column == "folder" else "right")
    folders = sorted(
        {m.path.relative_to(ROOT / "netloom").parts[0] for m in source if m.path.parent != ROOT / "netloom"}
    )
    for folder in folders:
        own = [m for m in source if m.path.relative_to(ROOT / "netloom").parts[0] == folder]
        lengths = [count_lines(f) for m in own for f in m.functions]
        spreads = spread(lengths) if lengths else ""
        table.add_row(folder, str(len(own)), str(sum(m.lines for m in own)), str(len(lengths)), spreads)
    console.print(table)


def print_longest(console: Console, source: list[Module]) -> None:
    found = sorted(((count_lines(f), m.path, f) for m in source for f in m.functions), key=lambda item: -item[0])[:8]
    console.print("[bold]Longest functions[/bold]")
    for lines, path, function in found:
        console.print(f"  {lines:4d}  {path.relative_to(ROOT)}:{function.lineno} {function.name}", highlight=False)
    console.print("[bold]Longest files[/bold]")
    for module in sorted(source, key=lambda m: -m.lines)[:5]:
        console.print(f"  {module.lines:4d}  {module.path.relative_to(ROOT)}", highlight=False)


def main() -> int:
    console = Console(width=None if sys.stdout.isatty() else 140)
    source, tests = read_modules(ROOT / "netloom"), read_modules(ROOT / "tests")
    print_table(console, measure(source, tests))
    print_folders(console, source)
    print_longest(console, source)
    return 0


if __name__ == "__main__":
    sys.exit(main())
