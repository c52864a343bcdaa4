"""Option files, the environment (OS_<SECTION>__<OPTION>) and the command line, read once into a set of options.

Law: every option is looked at here, whoever will use it, so that a bad one stops the start. An option that Netloom does
not have is no error in a section of Neutron's, whose files may be given as they are; it is one in [netloom] and on the
command line. What it may have been meant to be is said.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from oslo_config import cfg

from netloom.main.options import checks
from netloom.main.options.checks import Given, OptionError
from netloom.main.options.table import CONFIG_FILES, GROUPS, make_conf


@dataclass(frozen=True, slots=True)
class Read:
    """Options as read; `given(group, name)` says how to complain about one."""

    conf: Any
    files: tuple[Path, ...]
    notes: tuple[str, ...]

    def value(self, group: str, name: str) -> Any:
        return getattr(self.conf if group == "DEFAULT" else self.conf[group], name)

    def given(self, group: str, name: str) -> Given:
        return Given(render_name(group, name), find_text(self.files, group, name)[1])


def render_name(group: str, name: str) -> str:
    return name if group == "DEFAULT" else f"[{group}] {name}"


def read_options(files: Sequence[Path], overrides: Mapping[str, str]) -> Read:
    """Every option read once, so that a bad one is found at the start whoever would use it."""
    files = tuple(files) or tuple(Path(name) for name in CONFIG_FILES if Path(name).exists())
    for path in files:
        checks.parse_text_file(Given("--config-file"), str(path))
    conf = make_conf()
    try:
        conf(args=[], project="netloom", default_config_files=[str(path) for path in files], default_config_dirs=[])
    except cfg.ConfigFileParseError as error:
        raise OptionError("--config-file", error.config_file, f"line not understood: {error.msg}") from None
    refuse_unknown(files)
    read = Read(conf, files, find_notes(files))
    for name, text in overrides.items():
        override(read, name, text)
    for group, options in GROUPS.items():
        for option in options:
            check_type(read, group, option)
    return read


def override(read: Read, name: str, text: str) -> None:
    group, dot, short = name.rpartition(".")
    group = group if dot else "DEFAULT"
    option = next((o for o in GROUPS.get(group, ()) if o.name == short), None)
    if option is None:
        meant = guess_setting(name)
        raise OptionError(name, text, f"there is no such option{meant}; `netloom options` lists them all")
    try:
        read.conf.set_override(short, option.type(text), group=None if group == "DEFAULT" else group)
    except ValueError as error:
        raise OptionError(render_name(group, short), text, describe(option, error)) from None


def check_type(read: Read, group: str, option: cfg.Opt) -> None:
    try:
        read.value(group, option.dest)
    except (cfg.ConfigFileValueError, ValueError) as error:
        text, source = find_text(read.files, group, option.dest)
        raise OptionError(render_name(group, option.name), text, describe(option, error), source) from None


def describe(option: cfg.Opt, error: Exception) -> str:
    """What the option's type allows, in words."""
    kind = option.type
    if choices := getattr(kind, "choices", None):
        return f"allowed: {', '.join(str(choice) for choice in choices)}"
    words = {
        "Boolean": "true or false",
        "Integer": "a whole number",
        "Float": "a number",
        "Port": "a port number",
        "HostAddress": "an address or a host's name",
    }
    name = words.get(type(kind).__name__)
    if not name:
        return str(error)
    low, high = getattr(kind, "min", None), getattr(kind, "max", None)
    bounds = [f"at least {low}"] * (low is not None) + [f"at most {high}"] * (high is not None)
    return f"allowed: {name}" + (f", {' and '.join(bounds)}" if bounds else "")


def find_text(files: Iterable[Path], group: str, name: str) -> tuple[str, str]:
    """An option's text and where that is given: in the environment, or the last file that has it."""
    variable = f"OS_{group.upper()}__{name.upper()}"
    if variable in os.environ:
        return os.environ[variable], variable
    found = ("", "")
    for path in files:
        values = parse_sections(path).get(group, {})
        found = next(((values[n][-1], str(path)) for n in (name, name.replace("_", "-")) if n in values), found)
    return found


def parse_sections(path: Path) -> dict[str, dict[str, list[str]]]:
    """Options by section; [QUOTAS] is [quotas], as oslo.config reads it."""
    read: dict[str, dict[str, list[str]]] = {}
    cfg.ConfigParser(str(path), read).parse()
    known = {group.lower(): group for group in GROUPS}
    sections: dict[str, dict[str, list[str]]] = {}
    for group, values in read.items():
        sections.setdefault(known.get(group.lower(), group), {}).update(values)
    return sections


def find_notes(files: Iterable[Path]) -> tuple[str, ...]:
    """A line for each file that holds options which Netloom does not have, naming them."""
    notes = []
    for path in files:
        unknown = [name + guess_option(name, RENDERED) for name in find_unknown(path)]
        if unknown:
            notes.append(f"{path}: not used by Netloom: {', '.join(unknown)}")
    return tuple(notes)


def refuse_unknown(files: Iterable[Path]) -> None:
    """Raises OptionError for what is in [netloom], where nobody else's options are, and is none of ours."""
    for path in files:
        for name in find_unknown(path):
            if name.startswith("[netloom] "):
                text = find_text([path], "netloom", name.removeprefix("[netloom] "))[0]
                meant = guess_option(name, RENDERED)
                raise OptionError(
                    name, text, f"there is no such option{meant}; `netloom options` lists them all", str(path)
                )


def find_unknown(path: Path) -> list[str]:
    """Options of the file, "name" or "[section] name", that Netloom does not have."""
    return [
        render_name(group, name)
        for group, values in parse_sections(path).items()
        for name in values
        if (group, name.replace("-", "_")) not in KNOWN
    ]


def guess_option(name: str, among: Iterable[str]) -> str:
    """ " (did you mean …?)" where there is an option that is written nearly so, else nothing."""
    near = get_close_matches(name, list(among), n=1, cutoff=LIKE)
    return f" (did you mean {near[0]}?)" if near else ""


def guess_setting(name: str) -> str:
    """The same on the command line, where the section may have been left out."""
    settings = [name.removeprefix("[").replace("] ", ".") for name in RENDERED]
    short = name.rpartition(".")[2]
    elsewhere = [one for one in settings if one.rpartition(".")[2] == short]
    return f" (did you mean {elsewhere[0]}?)" if elsewhere else guess_option(name, settings)


def find_names(option: cfg.Opt) -> list[str]:
    """The option's name in files, and those that it had before."""
    return [option.dest, *(str(old.name).replace("-", "_") for old in option.deprecated_opts)]


KNOWN = frozenset(
    (group, name) for group, options in GROUPS.items() for option in options for name in find_names(option)
)
RENDERED = tuple(render_name(group, option.name) for group, options in GROUPS.items() for option in options)
LIKE = 0.86
"""How like a name must be to be what was meant: two letters that changed places in a name of nine."""


def find_state_path(read: Read, part: str = "") -> Path:
    """As given; else /var/lib/netloom for root and the user's own state folder for others. An agent and a relay have
    one of their own (`part`): they run as another user than a server that may be on the same machine."""
    given: str | None = read.value("DEFAULT", "state_path")
    name = f"netloom-{part}" if part else "netloom"
    if given:
        return Path(given).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib") / name
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / name
