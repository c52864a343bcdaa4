"""nft by its own library, in the namespace that the calling thread is in: a quarter of a millisecond, and no process.

What we hold: tables whose text is told apart by a digest (the name of an empty chain in them), and the elements of
their sets and maps, one by one.
"""

from __future__ import annotations

import ctypes
import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from netloom.model.netns import Element, Ruleset, Words

FAMILY = "inet"
MARK = "netloom-"
JSON = 1 << 4
_NAME = re.compile(r"^[A-Za-z][\w.]*-[\w.-]*$")


class NftError(OSError):
    """What nft complained of."""


@cache
def load_library() -> ctypes.CDLL:
    """libnftables. Raises NftError where the host has none."""
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError as error:
        raise NftError(f"no libnftables on this host: {error}") from error
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    for name in ("buffer_output", "buffer_error", "free", "get_output_buffer", "get_error_buffer"):
        getattr(library, f"nft_ctx_{name}").argtypes = [ctypes.c_void_p]
    library.nft_ctx_get_output_buffer.restype = ctypes.c_char_p
    library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
    return library


def run_nft(commands: str, as_json: bool = False) -> str:
    """What nft answers; all of the commands or none take effect. Raises NftError with its complaint."""
    library = load_library()
    context = library.nft_ctx_new(0)
    try:
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)
        library.nft_ctx_output_set_flags(context, JSON if as_json else 0)
        if library.nft_run_cmd_from_buffer(context, commands.encode()):
            lines = [line for line in library.nft_ctx_get_error_buffer(context).decode().splitlines() if line.strip()]
            raise NftError(lines[0] if lines else "nft refused it without a word")
        return str(library.nft_ctx_get_output_buffer(context).decode())
    finally:
        library.nft_ctx_free(context)


# -- as commands -------------------------------------------------------------------------------------------------------


def render_ruleset(table: str, ruleset: Ruleset) -> str:
    """The table as it should be, and nothing else of that name."""
    head = f"table {FAMILY} {table}"
    return f"{head}\ndelete {head}\n{head} {{\n chain {MARK}{ruleset.digest} {{\n }}\n{ruleset.text}\n}}\n"


def has_set(ruleset: Ruleset, name: str) -> bool:
    """Whether the text declares a set or map of that name."""
    return re.search(rf"^\s*(?:set|map) {name} ", ruleset.text, re.MULTILINE) is not None


def render_drop(table: str) -> str:
    """Without the table; made before it is deleted, for deleting what is not there is an error."""
    return f"table {FAMILY} {table}\ndelete table {FAMILY} {table}\n"


def render_add(table: str, name: str, words: Words, data: Words) -> str:
    value = f" : {join_words(data)}" if data else ""
    return f"add element {FAMILY} {table} {name} {{ {join_words(words)}{value} }}\n"


def render_delete(table: str, name: str, words: Words) -> str:
    return f"delete element {FAMILY} {table} {name} {{ {join_words(words)} }}\n"


def join_words(words: Words) -> str:
    """A concatenation as nft reads it; names of devices stand in quotes, for some are words of its own."""
    return " . ".join(f'"{word}"' if _NAME.match(word) else word for word in words)


# -- as read -----------------------------------------------------------------------------------------------------------


def read_tables() -> Iterator[tuple[str, Ruleset, list[tuple[str, Words, Element]]]]:
    """Of each of our tables: its name, its text's digest, and (set, words, element) of all that its sets hold."""
    found = [(kind, held) for entry in list_ruleset() for kind, held in entry.items() if held.get("family") == FAMILY]
    for table in [held["name"] for kind, held in found if kind == "table"]:
        mine = [(kind, held) for kind, held in found if held.get("table") == table]
        marks = [held["name"] for kind, held in mine if kind == "chain" and held["name"].startswith(MARK)]
        if marks:
            yield table, Ruleset(marks[0].removeprefix(MARK)), [*read_elements(mine)]


def list_ruleset() -> Sequence[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(run_nft("list ruleset", as_json=True))["nftables"]
    return listed


def read_elements(found: Sequence[tuple[str, dict[str, Any]]]) -> Iterator[tuple[str, Words, Element]]:
    for kind, held in found:
        if kind in ("set", "map"):
            for one in held.get("elem", ()):
                key, data = (one[0], read_words(one[1])) if kind == "map" else (one, ())
                yield held["name"], read_words(key), Element(data)


def read_words(given: Any) -> Words:
    """An element in nft's JSON as words.

    >>> read_words({"concat": ["203.0.113.5", "tcp", {"range": [80, 90]}]})
    ('203.0.113.5', 'tcp', '80-90')
    """
    if isinstance(given, dict):
        if "elem" in given:
            return read_words(given["elem"]["val"])
        if "concat" in given:
            return tuple(word for part in given["concat"] for word in read_words(part))
        if "range" in given:
            return ("-".join(str(end) for end in given["range"]),)
        if "prefix" in given:
            return (f"{given['prefix']['addr']}/{given['prefix']['len']}",)
    return (str(given),)
