"""What the commands share: options on the command line, and errors as sentences.

Law: a command that cannot be done says why in a sentence, on stderr, and ends with status 1; options that are not
allowed end with status 2.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated

import typer


class LogForm(StrEnum):
    """For people, or for programs."""

    text = "text"
    json = "json"


Files = Annotated[
    list[Path] | None,
    typer.Option(
        "--config-file", help="A file of options; may be given several times, the last one wins. Neutron's files do."
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="One option: bind_port=9696, ml2.path_mtu=9000, … Again and again."
    ),
]


LogFormat = Annotated[
    LogForm | None,
    typer.Option("--log-format", help="How the log is written; json: one object a line, as option use_json."),
]


def explain_errors(command: Callable[..., None]) -> Callable[..., None]:
    """What an operator can mend is a sentence, not a traceback."""

    @wraps(command)
    def run(*args: object, **given: object) -> None:
        try:
            command(*args, **given)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except Exception as error:
            from netloom.main.options.checks import OptionError

            if isinstance(error, OptionError):
                fail(f"option {error}", 2)
            if not is_explained(error):
                raise
            fail(str(error), 1)

    return run


def is_explained(error: Exception) -> bool:
    """Whether the text of the error alone tells an operator what to do."""
    from netloom.feed.pki import JoinError
    from netloom.store.errors import StoreError

    named = isinstance(error, OSError) and error.filename is not None
    return named or isinstance(error, (StoreError, JoinError, PermissionError, ConnectionError))


def warn(text: str) -> None:
    """One line, whatever a library has written into it."""
    print(f"netloom: {' '.join(text.split())}", file=sys.stderr)


def fail(text: str, status: int) -> None:
    warn(text)
    raise typer.Exit(status)


def parse_sets(values: list[str] | None, log_format: LogForm | None = None) -> dict[str, str]:
    """Option texts by name. Raises OptionError for what has no "="."""
    from netloom.main.options.checks import OptionError

    found = {"use_json": str(log_format is LogForm.json)} if log_format else {}
    for value in values or ():
        name, equals, text = value.partition("=")
        if not equals or not name:
            raise OptionError("--set", value, "allowed: NAME=VALUE, such as bind_port=9696 or ml2.path_mtu=9000")
        found[name.strip()] = text.strip()
    return found
