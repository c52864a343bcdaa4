"""What a page of the documentation names, and whether it is there: links and their sections, files, tests, commands and
their options, targets of the Makefile, options of the configuration.

Law: a page is judged by what the code declares, never by a list that is kept beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from netloom.main.cli import app
from netloom.main.options.reading import find_names
from netloom.main.options.table import GROUPS

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("docs", "changes", "examples", "packaging", "netloom", "tests", "scripts")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
TEST = re.compile(r"`(?:[\w/]+\.py::)?(test_\w+)(?:\.py)?`")
SOURCE = re.compile(r"`([\w./-]+\.(?:py|story|service))(?:::\w+)?`")
PATH = re.compile(r"`((?:netloom|tests|docs|scripts|changes|packaging|examples)/[\w./-]+)`")
COMMAND = re.compile(r"(?:^|(?<=[$#&] ))netloom ([a-z].*)$")
TARGET = re.compile(r"\bmake ([a-z][a-z-]*)")
OPTION = re.compile(r"\[([A-Za-z_]+)\] `?([a-z][a-z0-9_]*[a-z0-9])\b(?!_)")
SETTING = re.compile(r"--(?:set|host-option|server-option)[ =](?:([a-z_]+)\.)?([a-z0-9_]+)=")


@dataclass(frozen=True, slots=True)
class Known:
    """What there is to be named. `command` is the root of the command's tree; `options`: section and name."""

    tests: frozenset[str]
    files: frozenset[str]
    targets: frozenset[str]
    options: frozenset[tuple[str, str]]
    command: Any


def read_known() -> Known:
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts]
    sections = {group.lower(): options for group, options in GROUPS.items()}
    return Known(
        tests=frozenset(find_tests()),
        files=frozenset(str(path.relative_to(ROOT)) for path in files),
        targets=frozenset(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)),
        options=frozenset((g, name) for g, options in sections.items() for o in options for name in find_names(o)),
        command=typer.main.get_command(app),
    )


def find_pages() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))])


def find_tests() -> set[str]:
    """Names of test functions, and of test files without their ending."""
    names = set()
    for path in (ROOT / "tests").rglob("*.py"):
        names.add(path.stem)
        names.update(re.findall(r"^\s*(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE))
    return names


def find_faults(page: Path, known: Known) -> list[str]:
    """A sentence for each thing that the page names and that is not there."""
    text = page.read_text()
    joined = re.sub(r"\\\n\s*", " ", text)
    codes = [" ".join(code.split()) for code in (*re.findall(r"`([^`]+)`", joined), *find_blocks(joined))]
    return [
        *find_lost_links(page, text),
        *find_lost_files(text, known),
        *find_lost_commands(codes, known),
        *find_lost_options(text, known),
    ]


def find_blocks(text: str) -> list[str]:
    """Lines that stand for themselves as code."""
    return [line.strip() for line in text.splitlines() if line.startswith("    ")]


def find_lost_links(page: Path, text: str) -> Iterator[str]:
    for target in LINK.findall(text):
        path, _, section = target.partition("#")
        to = page.parent / path if path else page
        if "://" in target or target.startswith("mailto:"):
            continue
        if not to.exists():
            yield f"link to {target}, which is not there"
        elif section and section not in find_sections(to.read_text()):
            yield f"link to {target}, where that section is not"


def find_sections(text: str) -> set[str]:
    """What a page's headings are called in links to them."""
    headings = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def find_lost_files(text: str, known: Known) -> Iterator[str]:
    for name in TEST.findall(text):
        if name not in known.tests:
            yield f"test {name}, which is not there"
    for name in SOURCE.findall(text):
        if not any(file == name or file.endswith(f"/{name}") for file in known.files):
            yield f"file {name}, which is not there"
    for name in PATH.findall(text):
        if name.rstrip("/") not in known.files and not (ROOT / name).exists():
            yield f"path {name}, which is not there"


def find_lost_commands(codes: Sequence[str], known: Known) -> Iterator[str]:
    for code in codes:
        found = COMMAND.search(code)
        if found:
            yield from check_command(found[1].partition(" #")[0].split(), known.command)
        yield from (
            f"make {target}, which is not there" for target in TARGET.findall(code) if target not in known.targets
        )


def check_command(words: Sequence[str], command: Any) -> Iterator[str]:
    """`words` after netloom: subcommands, then what they are given."""
    path, rest = ["netloom"], list(words)
    while rest and rest[0] in getattr(command, "commands", {}):
        path.append(rest[0])
        command = command.commands[rest.pop(0)]
    if getattr(command, "commands", None) and rest and re.fullmatch(r"[a-z][\w-]*", rest[0]):
        yield f"`{' '.join(path)} {rest[0]}`, which is no command"
    known = {"--help", *(name for param in command.params for name in (*param.opts, *param.secondary_opts))}
    for word in rest[: rest.index("--")] if "--" in rest else rest:
        name = re.match(r"--[a-z][a-z-]*", word)
        if name and name[0] not in known:
            yield f"{name[0]}, which `{' '.join(path)}` does not have"


def find_lost_options(text: str, known: Known) -> Iterator[str]:
    for group, name in (*OPTION.findall(text), *SETTING.findall(text)):
        section = group or "DEFAULT"
        if (section.lower(), name) not in known.options and name != "name":
            yield f"option [{section}] {name}, which is not there"
