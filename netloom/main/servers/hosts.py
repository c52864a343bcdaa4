"""Hosts as the server's files know them: who joined, whose certificate is good until when. Beside a running server.

Raises StoreError, whose text tells an operator what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from netloom.feed.grants import is_relay
from netloom.feed.pki import HostEntry, TokenBook
from netloom.intent.l2.binding import SWITCH_AGENTS
from netloom.main.options.server import ServerOptions
from netloom.main.servers.authority import HOSTS, TOKENS, load_book, load_hosts, open_authority
from netloom.main.servers.fleet import open_share
from netloom.main.servers.shared_state import fetch
from netloom.store.engine import find_database
from netloom.store.status import read_kind

HEAD = ("HOST", "CERTIFICATE", "CONNECTION", "TUNNEL ADDRESS")


def list_hosts(options: ServerOptions, now: datetime | None = None) -> list[str]:
    """A table with a line for each host that joined, may join, or was seen."""
    now = now or datetime.now(UTC)
    folder, agents = options.state_path / "feed", read_agents(options)
    with open_share(options) as share:
        if share:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            fetch(share, options.state_path)
    entries, tokens = load_hosts(folder / HOSTS).hosts, find_invited(load_book(folder / TOKENS), now)
    names = sorted({*entries, *tokens, *agents})
    if not names:
        return ["no host has joined; `netloom agent token HOST` lets one"]
    rows = [
        (name, render_certificate(entries.get(name), name in tokens, now), *render_agent(name, agents.get(name)))
        for name in names
    ]
    return render_table([HEAD, *rows])


def revoke_hosts(options: ServerOptions, hosts: Sequence[str], now: datetime | None = None) -> list[str]:
    """Make void what they have; gives those that had no certificate."""
    now = now or datetime.now(UTC)
    with open_share(options) as share:
        authority = open_authority(options.state_path / "feed", now, renew=False, share=share)
        if share:
            fetch(share, options.state_path)
        known = authority.load_hosts().hosts
        for host in hosts:
            authority.revoke(host, now)
    return [host for host in hosts if host not in known]


def read_agents(options: ServerOptions) -> dict[str, Mapping[str, Any]]:
    """The agent of each host's switch; none where there is no store yet."""
    if not find_database(options.database_url).exists():
        return {}
    return {doc["host"]: doc for doc in read_kind(options.database_url, "agent") if doc["agent_type"] in SWITCH_AGENTS}


def find_invited(book: TokenBook, now: datetime) -> set[str]:
    """Hosts that have a token which is still good."""
    return {host for host, ends_s in book.tokens.values() if ends_s > now.timestamp()}


def render_certificate(entry: HostEntry | None, invited: bool, now: datetime) -> str:
    also = "; has a token" if invited else ""
    if entry is None:
        return f"none{also}"
    if entry.revoked:
        return f"revoked {render_time(entry.revoked_s)}{also}"
    word = "good until" if entry.ends_s > now.timestamp() else "ended"
    return f"{word} {render_time(entry.ends_s)}{also}"


def render_agent(name: str, agent: Mapping[str, Any] | None) -> tuple[str, str]:
    if is_relay(name):
        return "relay", ""
    if agent is None:
        return "never", ""
    since = agent["heartbeat_timestamp"]
    return (f"here since {since}" if agent["alive"] else f"gone since {since}"), find_tunnel_address(agent)


def find_tunnel_address(agent: Mapping[str, Any]) -> str:
    return str(agent["configurations"].get("tunneling_ip") or "")


def render_time(second: float) -> str:
    """UTC, as the API's times are."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S")


def render_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their longest word."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [render_row(row, widths) for row in rows]


def render_row(row: Iterable[str], widths: Iterable[int]) -> str:
    return "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
