"""What `netloom doctor` asks of a deployment as a whole, from a server's machine: the store's log, who writes and
whether that one can be reached, the broker, hosts and their certificates, room for connections."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlsplit

from netloom.feed import pki
from netloom.feed.pki import SERVER_NAME, HostBook
from netloom.main.doctor.findings import ERROR, OK, WARNING, Check, Finding
from netloom.main.doctor.machine import SOON_S, Machine
from netloom.main.options.server import ServerOptions
from netloom.main.servers.authority import HOSTS, load_hosts, load_pair
from netloom.main.servers.peers import make_peer_context
from netloom.main.servers.rotation import find_late
from netloom.store.engine import find_database, open_reader
from netloom.store.history import History
from netloom.store.lease import BEAT_S, LEASE_S, Lease, read_lease
from netloom.store.status import StoreStatus, read_kind, read_status

PATIENCE_S = 5.0
LISTENERS = 256
"""Files that a server has open beside its connections, and some to spare."""
NAMED = 10
"""Hosts that are named; of more, the number."""


def make_whole_checks(options: ServerOptions, machine: Machine) -> list[tuple[str, Check]]:
    return [
        ("log", partial(check_log, options)),
        ("writer", partial(check_writer, options)),
        ("API", partial(check_api, options)),
        ("NATS", partial(check_nats, options.nats_servers)),
        ("hosts", partial(check_hosts, options)),
        ("host certificates", partial(check_host_certificates, options, machine)),
        ("authority", partial(check_authority, options, machine)),
        ("open files", partial(check_files, options, machine)),
    ]


def is_there(options: ServerOptions) -> bool:
    """Whether the store can be read; where it cannot, another check has said why."""
    try:
        open_reader(options.database_url).close()
    except Exception:
        return False
    return True


# -- the store ---------------------------------------------------------------------------------------------------------


def check_log(options: ServerOptions) -> Iterator[Finding]:
    if is_there(options):
        yield from compare_log(read_status(options.database_url), options.history)


def compare_log(status: StoreStatus, history: History) -> Iterator[Finding]:
    """That the log is as long as it is said to be kept: a server that writes makes it shorter as it goes."""
    held = status.last_revision - status.first_revision + 1 if status.last_revision else 0
    objects = sum(status.counts.values())
    if history.revisions > 0 and held > 2 * max(history.revisions, history.least):
        said = f"the log has {held} revisions, and {history.revisions} are to be kept"
        yield Finding("log", WARNING, said, "see that a server writes, and what it logs; or netloom db compact")
    elif history.revisions <= 0 and history.days <= 0 and held > 1_000_000 and held > 10 * objects:
        said = f"the log has {held} revisions of {objects} objects, and is kept for ever"
        yield Finding("log", WARNING, said, "set [netloom] history_revisions or history_days; then netloom db compact")


# -- servers -----------------------------------------------------------------------------------------------------------


def check_writer(options: ServerOptions, sleep: Callable[[float], None] = time.sleep) -> Iterator[Finding]:
    """Of several: that one writes, and that this machine can hand requests to it."""
    if not find_database(options.database_url).shared or not is_there(options):
        return
    store = open_reader(options.database_url)
    try:
        before = read_lease(store.engine)
        sleep(LEASE_S + BEAT_S)  # who is silent for so long is replaced by any other that runs
        after = read_lease(store.engine)
    finally:
        store.close()
    if not after.holder:
        yield Finding("writer", OK, "no server runs")
    elif after == before:
        said = f"{after.who} has the seat of the writer and is silent"
        yield Finding("writer", WARNING, said, "start a server: another one takes the seat within seconds")
    else:
        yield from check_peer(options, after)


def check_peer(options: ServerOptions, lease: Lease) -> Iterator[Finding]:
    if not lease.address:
        return
    try:
        asyncio.run(reach(options, lease.address))
    except (OSError, TimeoutError) as error:
        said = f"{lease.who}, which writes, cannot be reached at {lease.address}: {str(error) or type(error).__name__}"
        fix = "servers of several machines need [netloom] peer_listen, at an address that the others reach"
        yield Finding("writer", ERROR, said, fix)


async def reach(options: ServerOptions, address: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        if address.startswith("unix:"):
            _, writer = await asyncio.open_unix_connection(address[5:])
        else:
            host, _, port = address.rpartition(":")
            context = make_peer_context(options.state_path / "feed" / "authority.pem")
            _, writer = await asyncio.open_connection(
                host.strip("[]"), int(port), ssl=context, server_hostname=SERVER_NAME
            )
        writer.transport.abort()


def check_api(options: ServerOptions) -> Iterator[Finding]:
    """What the server of this machine says of itself, where one listens."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(options.bind_host, options.bind_host)
    where = f"[{host}]" if ":" in host else host
    url = f"{'https' if options.tls_cert else 'http'}://{where}:{options.bind_port}/healthcheck"
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S, context=anyone) as reply:
            said = json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            found = error.read(500).decode(errors="replace")
        yield Finding("API", ERROR, f"{url} says {error.code}: {found}", "see the server's log; netloom db check")
    except (OSError, ValueError) as error:
        yield Finding("API", OK, f"no server answers at {url} ({getattr(error, 'reason', error)})")
    else:
        yield Finding("API", OK, f"{url}: {json.dumps(said)}")


def check_nats(servers: Sequence[str]) -> Iterator[Finding]:
    """That one of them greets; without the broker all goes by the connections of relays, which is slower."""
    problems = []
    for url in servers:
        where = urlsplit(url)
        try:
            asyncio.run(greet(where.hostname or "", where.port or 4222))
        except (OSError, EOFError, TimeoutError) as error:
            problems.append(f"{where.hostname}:{where.port or 4222}: {str(error) or type(error).__name__}")
    if problems and len(problems) == len(servers):
        fix = "look at [netloom] nats_servers, and at the broker; until then relays are served by their connections"
        yield Finding("NATS", WARNING, "; ".join(problems), fix)


async def greet(host: str, port: int) -> None:
    """A NATS server speaks first. Raises OSError."""
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            if not (await reader.readline()).startswith(b"INFO "):
                raise ConnectionError("what listens there is no NATS server")
        finally:
            writer.transport.abort()


# -- hosts -------------------------------------------------------------------------------------------------------------


def check_hosts(options: ServerOptions) -> Iterator[Finding]:
    """Agents that are to be there and are not, as servers wrote down; a server that is down has nobody's."""
    if not is_there(options):
        return
    agents = read_kind(options.database_url, "agent")
    gone = sorted({str(doc["host"]) for doc in agents if doc.get("admin_state_up", True) and not doc["alive"]})
    if gone:
        fix = (
            "look at these hosts: netloom doctor there; or openstack network agent delete, where they are gone for good"
        )
        yield Finding("hosts", WARNING, f"not connected: {name_some(gone)}", fix)


def name_some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def load_book(options: ServerOptions) -> HostBook:
    return load_hosts(options.state_path / "feed" / HOSTS)


def check_host_certificates(options: ServerOptions, machine: Machine) -> Iterator[Finding]:
    """Hosts get their next certificate in the last third of the one before: one that ends soon was not asked for."""
    entries = {name: entry for name, entry in load_book(options).hosts.items() if not entry.revoked}
    ended = sorted(name for name, entry in entries.items() if entry.ends_s <= machine.now_s)
    soon = sorted(name for name, entry in entries.items() if machine.now_s < entry.ends_s <= machine.now_s + SOON_S)
    fix = "netloom agent token HOST, then netloom agent join there; or netloom agent revoke HOST"
    if ended:
        yield Finding("host certificates", ERROR, f"have ended: those of {name_some(ended)}", fix)
    if soon:
        said = f"end within {SOON_S / 86400:.0f} days and were not renewed: those of {name_some(soon)}"
        yield Finding("host certificates", WARNING, said, "start the agents of these hosts; they renew by themselves")


def check_authority(options: ServerOptions, machine: Machine) -> Iterator[Finding]:
    """That a change of authorities which was begun is ended."""
    pair = load_pair(options.state_path / "feed", "authority")
    if pair is None or len(pki.split_trusted(pair.certificate)) == 1:
        return
    since_s = pki.read_life(pair.certificate).issued_s
    late = find_late(load_book(options), since_s, machine.now_s)
    since = datetime.fromtimestamp(since_s, UTC).strftime("%Y-%m-%d %H:%M")
    said = f"two authorities of hosts are trusted since {since} UTC"
    fix = "netloom server rotate-authority --finish"
    if late:
        said, fix = (
            f"{said}; without a new certificate: {name_some(late)}",
            f"start these agents, or revoke them; {fix}",
        )
    yield Finding("authority", WARNING, said, fix)


def check_files(options: ServerOptions, machine: Machine) -> Iterator[Finding]:
    """That there is room for a connection of each host that ever joined, as far as this shell is limited alike."""
    most = machine.values.get("open files", 0)
    needed = len(load_book(options).hosts) + 2 * LISTENERS
    if 0 < most < needed:
        said = f"a process may have {most} files open, and {needed - 2 * LISTENERS} hosts have joined"
        yield Finding(
            "open files", WARNING, said, "LimitNOFILE= of the unit, or ulimit -n; packaging/systemd has 65536"
        )
