"""What `netloom doctor` looks at on a relay's machine."""

from __future__ import annotations

import asyncio
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from netloom.main.doctor.agent import PATIENCE_S, reach
from netloom.main.doctor.clocks import check_clocks
from netloom.main.doctor.findings import ERROR, OK, WARNING, Check, Finding
from netloom.main.doctor.machine import Machine, check_certificate, check_clock, check_notes, check_room, check_secret
from netloom.main.hosts.papers import Papers
from netloom.main.options.relay import RelayOptions


def make_relay_checks(options: RelayOptions, machine: Machine, apis: Iterable[str] = ()) -> list[tuple[str, Check]]:
    """`apis`: where servers answer HTTP."""
    return [
        ("relay: options", partial(check_notes, options.notes)),
        ("relay: certificate", partial(check_papers, options, machine)),
        ("relay: upstream", partial(check_upstream, options)),
        ("relay: state", partial(check_state, options)),
        ("disk", partial(check_room, options.state_path)),
        ("clock", partial(check_clock, machine)),
        ("clocks", partial(check_clocks, apis)),
    ]


def find_papers(options: RelayOptions) -> Papers:
    return Papers(options.state_path / "relay")


def check_papers(options: RelayOptions, machine: Machine) -> Iterator[Finding]:
    papers = find_papers(options)
    again = "netloom agent token relay/NAME on a server, then start the relay with --token TOKEN"
    if not papers.whole:
        yield Finding("relay: certificate", ERROR, "the relay has not joined", again)
        return
    yield from check_certificate("relay: certificate", papers.certificate, machine, again)
    yield from check_secret(papers.key)


def check_upstream(options: RelayOptions) -> Iterator[Finding]:
    """That each can be reached, and is of the authority that the relay joined. One is enough to serve."""
    papers, silent = find_papers(options), []
    for address in options.upstream if papers.whole else ():
        try:
            asyncio.run(reach(address, papers))
        except (OSError, TimeoutError) as error:
            words = "they do not believe each other: " if isinstance(error, ssl.SSLError) else ""
            silent.append(f"{address}: {words}{str(error) or type(error).__name__}")
    level = ERROR if len(silent) == len(options.upstream) else WARNING
    for said in silent:
        fix = "look at [netloom] upstream, at who serves there, at firewalls between and at the clocks"
        yield Finding("relay: upstream", level, said, fix)


def check_state(options: RelayOptions) -> Iterator[Finding]:
    """What the running relay says of itself."""
    if not options.metrics_listen:
        fix = "set [netloom] metrics_listen, such as 127.0.0.1:9698"
        yield Finding("relay: state", WARNING, "it shows no page, so nobody sees whether it serves", fix)
        return
    try:
        ready, found = ask_health(options.metrics_listen)
    except (OSError, ValueError) as error:
        fix = "systemctl start netloom-relay, and look at its log"
        yield Finding("relay: state", ERROR, f"{options.metrics_listen} does not answer: {error}", fix)
        return
    if not ready:
        fix = "look at the relay's log, and at the servers that it names there"
        said = f"{found.get('name')} has nobody upstream; it asks {found.get('upstream')} next"
        yield Finding("relay: state", ERROR, said, fix)
        return
    said = f"{found.get('name')} follows {found.get('upstream')} at revision {found.get('revision')}"
    yield Finding("relay: state", OK, f"{said}, for {found.get('hosts')} hosts")


def ask_health(address: str) -> tuple[bool, dict[str, Any]]:
    """Whether the relay can serve, and what it says. Raises OSError, ValueError."""
    host, _, port = address.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "": "127.0.0.1"}.get(host, host)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://{host}:{port}/healthcheck", timeout=PATIENCE_S) as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            body = error.read()
    found = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError("that is no answer of a relay")
    return bool(found.get("ready")), found
