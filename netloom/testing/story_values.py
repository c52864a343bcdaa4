"""Values in stories: words as people write them, JSON where it matters.

    mtu=1400   admin_state_up=false   gateway_ip=null   fixed_ips=[{ip_address: 10.1.0.5}]   name="with spaces"

A bare word is null, true, false, a whole number, the name of an earlier object (then it is that object's id), or text.
What is in quotation marks is text and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from netloom.testing.story_packets import StoryError

Find = Callable[[str], str]
"""The id of the object that the story calls so; what is no object's name comes back as it is."""

_TOKEN = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|[\[\]{},]|:(?=[\s"\[{])|(?:[^\s,\[\]{}":]|:(?![\s"\[{]))+)""")
_CONSTANTS = {"null": None, "true": True, "false": False}


def split_words(text: str) -> list[str]:
    """The words of a line; what is within brackets or quotation marks is one word. Raises StoryError."""
    words, word, depth, quoted = [], "", 0, False
    for char in text:
        quoted ^= char == '"'
        depth += 0 if quoted else (char in "[{") - (char in "]}")
        if char.isspace() and not depth and not quoted:
            words.append(word)
            word = ""
        else:
            word += char
    if depth or quoted:
        raise StoryError("a bracket or a quotation mark is not closed")
    return [found for found in (*words, word) if found]


def parse_pairs(words: list[str], find: Find) -> dict[str, Any]:
    """`name=value …` as a request's body. Raises StoryError."""
    found = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise StoryError(f"{word} is not of the form name=value")
        found[name] = parse_value(text, (lambda text: text) if name == "name" else find)
    return found


def parse_value(text: str, find: Find) -> Any:
    """Raises StoryError for what cannot be read."""
    tokens = list(read_tokens(text))
    if not tokens:
        return ""
    value, rest = read_value(tokens, find)
    if rest:
        raise StoryError(f"{text}: nobody knows what {' '.join(rest)} is doing there")
    return value


def read_tokens(text: str) -> Iterator[str]:
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise StoryError(f"{text} cannot be read from {text[at:]} on")
        yield match[1]
        at = match.end()


def read_value(tokens: list[str], find: Find) -> tuple[Any, list[str]]:
    """A value, and the tokens after it."""
    if not tokens:
        raise StoryError("a value is missing")
    first, *rest = tokens
    if first == "[":
        return read_list(rest, find)
    if first == "{":
        return read_map(rest, find)
    if first in ("]", "}", ",", ":"):
        raise StoryError(f"a value is missing before {first}")
    return read_word(first, find), rest


def read_word(word: str, find: Find) -> Any:
    if word.startswith('"'):
        return json.loads(word)
    if re.fullmatch(r"-?\d{1,18}", word):
        return int(word)
    return _CONSTANTS[word] if word in _CONSTANTS else find(word)


def read_list(tokens: list[str], find: Find) -> tuple[list[Any], list[str]]:
    found: list[Any] = []
    while tokens and tokens[0] != "]":
        value, tokens = read_value(tokens, find)
        found.append(value)
        tokens = tokens[1:] if tokens and tokens[0] == "," else tokens
    return found, tokens[1:]


def read_map(tokens: list[str], find: Find) -> tuple[dict[str, Any], list[str]]:
    found: dict[str, Any] = {}
    while tokens and tokens[0] != "}":
        key, colon, *tokens = tokens if len(tokens) > 1 else (tokens[0], "")
        if colon != ":":
            raise StoryError(f"{key} needs a colon and a value after it, as in {{ip_address: 10.1.0.5}}")
        value, tokens = read_value(tokens, find)
        found[read_word(key, str) if key.startswith('"') else key] = value
        tokens = tokens[1:] if tokens and tokens[0] == "," else tokens
    return found, tokens[1:]
