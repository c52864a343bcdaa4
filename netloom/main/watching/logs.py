"""How the log is written: one line per event, for people or as JSON, with the ids by which events are joined.

Law: no secret is written, whoever logs it: what the options hold as a secret, and what looks like a token, a password
in a URL or a private key, is struck out of the finished line. One event is one line, whatever a client put into a name.
"""

from __future__ import annotations

import json
import logging
import re
import socket
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TextIO
from urllib.parse import quote, unquote, urlsplit

from netloom.main.options.reading import Read
from netloom.main.options.table import GROUPS

FIELDS = ("request_id", "requests", "revision", "host", "ports", "project_id", "user_id", "count")
"""What an event may say of itself (`extra=`), in the order in which a line shows it."""
NOISY = (
    "httpx", "httpcore", "asyncio", "alembic", "aiormq", "aio_pika", "urllib3", "keystoneauth", "stevedore",
    "oslo_policy", "oslo_config", "nats",
)  # fmt: skip
"""Libraries that say too much, some of it secret."""
SHORTEST = 6
"""Characters of a secret that is looked for as it is; a shorter one is found in words that are none."""
STRUCK = "***"

SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|(?<=://)[^\s/@:'\"]*:[^\s/@'\"]+(?=@)"
    r"|\bnl1\.[\w-]{16,}"
    r"|\bgAAAA[\w-]{16,}=*"
    r"|(?<=:)[\w-]{32}(?=:[0-9a-f]{64}\b)"
    r"|(?P<name>(?i:x-(?:auth|subject|service)-token|authorization|password|passwd|shared_secret|secret)['\"]?,?\s*[:=,]"
    r"\s*b?['\"]?)(?:(?i:basic|bearer)\s+)?[^\s'\",;}]+",
    re.DOTALL,
)
"""A private key, user and password of a URL, tokens of ours and of Keystone, a join token, and values by their name."""


@dataclass(frozen=True, slots=True)
class LogOptions:
    """`secrets`: texts that no line may show. `host`: which machine says so."""

    json: bool = False
    debug: bool = False
    host: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)


def make_log_options(read: Read) -> LogOptions:
    return LogOptions(
        read.value("DEFAULT", "use_json"),
        read.value("DEFAULT", "debug"),
        read.value("DEFAULT", "host") or socket.gethostname(),
        find_secrets(read),
    )


def find_secrets(read: Read) -> tuple[str, ...]:
    """What options that are declared secret hold: the text, and of a URL the password alone."""
    found: set[str] = set()
    for group, options in GROUPS.items():
        for option in options:
            if option.secret:
                value = read.value(group, option.dest) or ""
                for text in value if isinstance(value, list) else [value]:
                    found.update(find_parts(str(text)))
    return tuple(sorted((text for text in found if len(text) >= SHORTEST), key=len, reverse=True))


def find_parts(text: str) -> Iterable[str]:
    if "://" not in text:
        return (text,)
    # oslo.messaging's URL may name several hosts, each with a password.
    passwords = [part.rpartition("@")[0].partition(":")[2] for part in urlsplit(text).netloc.split(",")]
    return [form for password in passwords for form in (password, unquote(password), quote(unquote(password), safe=""))]


def strike(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without what must not be read."""
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, STRUCK)
    return SECRETS.sub(lambda match: f"{match['name'] or ''}{STRUCK}", text)


# -- lines -------------------------------------------------------------------------------------------------------------

FindIds = Callable[[], Mapping[str, Any]]
"""What is known of the work at hand: {"request_id": …}, or nothing."""


class Lines(logging.Formatter):
    """What the two forms share. `find_ids` says whose work is logged where the event itself does not."""

    def __init__(self, options: LogOptions, find_ids: FindIds = dict) -> None:
        super().__init__()
        self._secrets = options.secrets
        self._host = options.host
        self._find_ids = find_ids

    def find_fields(self, record: logging.LogRecord) -> dict[str, Any]:
        known = {**self._find_ids(), **record.__dict__}
        return {name: known[name] for name in FIELDS if known.get(name)}


class TextLines(Lines):
    """2026-11-21 01:02:03,456 INFO netloom.agent 22 ops, 0 refused [requests req-… revision 14207]"""

    def format(self, record: logging.LogRecord) -> str:
        ids = " ".join(f"{name} {render_text(value)}" for name, value in self.find_fields(record).items())
        text = strike(record.getMessage(), self._secrets)
        line = f"{self.formatTime(record)} {record.levelname} {record.name} {flatten(text)}"
        line += f" [{flatten(ids)}]" if ids else ""
        if record.exc_info:
            line += "\n" + strike(self.formatException(record.exc_info), self._secrets)
        return line


class JsonLines(Lines):
    """One object a line. `error` is a traceback; the time is UTC."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        event = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": strike(record.getMessage(), self._secrets),
            "process": record.process,
            "host": self._host,
            **self.find_fields(record),
        }
        if record.exc_info:
            event["error"] = strike("".join(traceback.format_exception(*record.exc_info)), self._secrets)
        return json.dumps(event, default=list, ensure_ascii=False)


def render_text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple | set | frozenset) else str(value)


def flatten(text: str) -> str:
    """What a client put into a name makes no line of its own."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def set_up_logs(options: LogOptions, find_ids: FindIds = dict, stream: TextIO | None = None) -> None:
    """All loggers of this process write so from now on, to stderr."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter((JsonLines if options.json else TextLines)(options, find_ids))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if options.debug else logging.INFO)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
