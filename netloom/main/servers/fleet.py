"""The server's side of hosts: slices kept current with each commit, the hub that serves them, and what hosts say back.

What a host says becomes an operation like any other; words of the same kind from one host are joined while one waits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any

from netloom.feed import messages as m
from netloom.feed import pki
from netloom.feed.hub import Hub
from netloom.feed.pki import JoinError
from netloom.intent.agents.agent import mark_alive, report_host
from netloom.intent.agents.dhcp_ports import settle_networks
from netloom.intent.agents.dhcp_schedule import move_networks
from netloom.intent.errors import conflict
from netloom.intent.l2.port_status import acknowledge, acknowledge_all
from netloom.intent.l3.router_copies import move_routers, report_copies
from netloom.intent.operation import Context, Operation, Outcome, Requester
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Change, Snapshot
from netloom.main.options.server import ServerOptions
from netloom.main.servers.absence import Absence
from netloom.main.servers.authority import Authority, open_authority
from netloom.main.servers.broker import start_publishing
from netloom.main.servers.certificates import Certificates
from netloom.main.servers.listening import listen
from netloom.main.servers.shared_state import Share, make_share
from netloom.main.servers.words import ALIVE, Say, Words
from netloom.main.watching.request_ids import find_requests, log_slices
from netloom.main.watching.told import Resolved, hear_nothing
from netloom.resolve.slices import SliceBook
from netloom.store.engine import find_database, open_shared
from netloom.store.errors import StoreError
from netloom.store.log import LogEntry
from netloom.store.writer import Writer

LOG = logging.getLogger("netloom.server")
HOSTS = Requester(user_id="netloom", roles=("admin", "service"), is_admin=True, user_name="hosts")
"""In whose name what hosts say is written."""
Look = Callable[[], Awaitable[int]]
"""Takes over what is stored; the revision that is then shown. Raises StoreError."""
REACH_S = 5.0
"""How long a host that knows more waits for that, until it goes to another server."""
LOOKED_AT_ANEW = "an authority is trusted no more, so all certificates are looked at anew"
WATCH_S = 1.0
"""How often revocations are looked for."""


class Fleet:
    """All hosts, as this server sees them."""

    def __init__(
        self,
        options: ServerOptions,
        writer: Writer,
        authority: Authority,
        say: Say | None = None,
        look: Look | None = None,
    ) -> None:
        self._options = options
        self._writer = writer
        self._say = say
        self._look = look or writer.follow
        self._authority = authority
        self._certificates = Certificates(authority)
        self._book = SliceBook(writer.snapshot)
        self._seen: dict[str, str] = {}
        self.words = Words(say or self._submit, lambda: writer.snapshot)
        self._absence = Absence(options.settings.agent_down_time)
        self.resolved: Callable[[Resolved], None] = hear_nothing
        """Told of every batch of commits."""
        self.hub = Hub(self._book, self, lambda: self._book.snapshot.revision, "netloom", self._find_authority)

    async def _submit(self, name: str, *values: Any) -> None:
        """Where this server is the one that writes. Raises ApiError."""
        await self._writer.submit(make_operation(name, values), HOSTS)

    def _find_authority(self) -> bytes:
        """By which hosts' words for relays are checked, PEM."""
        return self._certificates.authority.authority.certificate

    # -- with each commit ----------------------------------------------------------------------------------------------

    def advance(self, entries: Sequence[LogEntry], snapshot: Snapshot) -> None:
        """Called by the writer after a batch is durable."""
        changes = [change for entry in entries for change in entry.changes]
        began_s, start = time.time(), time.perf_counter()
        stuck, before = dict(self._book.failed), self._book.rows
        deltas = self._book.advance(changes, snapshot)
        self._complain(stuck)
        requests = find_requests(deltas, entries)
        self.hub.notify(deltas, requests)
        whose = tuple(dict.fromkeys(id for ids in requests.values() for id in ids))
        took_s, rows = time.perf_counter() - start, self._book.rows - before
        self.resolved(Resolved(began_s, took_s, len(deltas), snapshot.revision, whose, rows))
        if LOG.isEnabledFor(logging.DEBUG):
            log_slices(snapshot.revision, deltas, requests)
        self._contradict(changes)

    def _complain(self, stuck: Mapping[str, Exception]) -> None:
        """Once of each slice that stands still."""
        for name in self._book.failed.keys() - stuck.keys():
            error = self._book.failed[name]
            LOG.error("%s stands still, its hosts go on with what they have: %r", name, error, exc_info=error)

    def _contradict(self, changes: Sequence[Change]) -> None:
        """Of a host that is here, another server or relay may learn late that it is not there any more."""
        agents = [change.doc for change in changes if change.kind == "agent" and change.doc is not None]
        for host in {agent["host"] for agent in agents if not agent["alive"]}:
            if self.hub.has(host):
                self.words.start(self._insist_on(host))

    async def _insist_on(self, host: str) -> None:
        """It is here, unless it has gone by the time that this is its turn."""
        if self.hub.has(host):
            await self.words.write(ALIVE, host, True)

    # -- what hosts say ------------------------------------------------------------------------------------------------

    async def report(self, host: str, configurations: Mapping[str, Any], zone: str | None) -> None:
        """Raises MessageError where the host says that it has the tunnel address of another, here or not."""
        if configurations:
            error = await self.words.write("report", host, configurations, zone)
            if error is not None and error.status == 409:
                raise m.MessageError(error.message)

    async def acknowledge(self, host: str, revision: int, wired: list[str], pending: Mapping[str, str]) -> None:
        self.words.acknowledge(host, revision, wired, pending)

    async def take_copies(self, host: str, copies: Mapping[str, str]) -> None:
        await self.words.copies(host, copies)

    async def present(self, host: str, here: bool) -> None:
        self._seen[host] = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        LOG.info("%s is %s", host, "here" if here else "gone")
        self.words.forget(host)
        if here:
            self._absence.come(host)
        await self.words.write(ALIVE, host, here)

    async def finish(self) -> None:
        """Let what hosts said last be written."""
        await self.words.finish()

    # -- certificates --------------------------------------------------------------------------------------------------

    async def reach(self, revision: int) -> None:
        """What is stored is looked up, so that who comes from a server that was ahead of this one is not told what was
        before. A store that was restored is at less, and that holds then. Raises JoinError where it does not answer."""
        if self._book.snapshot.revision >= revision:
            return
        looking = asyncio.ensure_future(self._look())
        looking.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.wait([looking], timeout=REACH_S)
        if not looking.done() or looking.exception() is not None:
            raise JoinError(
                f"the host is at revision {revision}, and the store does not answer what came after "
                f"{self._book.snapshot.revision}"
            )

    async def admit(self, host: str, issued_s: float) -> None:
        self._certificates.hosts().check(host, issued_s)

    async def join(self, host: str, token: str, csr: str) -> m.Joined:
        self._authority.use_token(host, token, datetime.now(UTC))
        # A certificate of the very second of a revocation would be void with those before.
        await asyncio.sleep(self._authority.load_hosts().find_wait_s(host, datetime.now(UTC).timestamp()))
        return self._issue(host, csr)

    async def renew(self, host: str, csr: str) -> m.Joined:
        return self._issue(host, csr)

    def _issue(self, host: str, csr: str) -> m.Joined:
        certificate = self._authority.issue(host, csr, datetime.now(UTC), self._options.certificate_life)
        return m.Joined(certificate, self._authority.load_signer().certificate.decode())

    async def watch(self) -> None:
        """Let go of hosts whose certificates were revoked; listen with the server's next certificate in time."""
        while True:
            await asyncio.sleep(WATCH_S)
            now = datetime.now(UTC)
            self.hub.expel(self._certificates.find_void, now.timestamp())
            self._follow_authority(now)
            await self.move_routers()

    def _follow_authority(self, now: datetime) -> None:
        """Hosts hear at once of an authority that is new; where one is dropped, each shows anew who it is."""
        before = self._certificates.authority.trusted
        try:
            self._certificates.follow(now)
        except StoreError as error:
            LOG.warning("the authority of hosts is not known as it is now: %s", error)
        after = self._certificates.authority.trusted
        if {*before} - {*after}:
            self.hub.expel(lambda host, issued_s: LOOKED_AT_ANEW, now.timestamp())
        elif before != after:
            self.hub.ping()

    async def settle(self) -> None:
        """What options decide and may have decided otherwise before."""
        await self.words.try_once("settle_networks")

    async def move_routers(self) -> None:
        """Give the routers and networks of hosts that are gone for good to others."""
        settings = self._options.settings
        snapshot, now_s = self._writer.snapshot, asyncio.get_running_loop().time()
        for agent in self._absence.find_due(snapshot, self.hub.hosts, self._say is not None, now_s):
            host = agent["host"]
            LOG.warning("%s is gone for too long: its routers and networks move", host)
            if agent["alive"]:
                await self.words.write(ALIVE, host, False)
            if settings.allow_automatic_l3agent_failover:
                await self.words.write("move", host)
            if settings.allow_automatic_dhcp_failover:
                await self.words.write("move_networks", host)

    # -- for the API ---------------------------------------------------------------------------------------------------

    def count(self) -> int:
        return len(self.hub.hosts)

    def show_live(self, kind: str, doc: Doc) -> Doc:
        """An agent as it is at this moment: its heartbeat is its connection."""
        if kind != "agent":
            return doc
        host = doc["host"]
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        # A host that another server has is as alive as that server wrote.
        alive = self.hub.has(host) or (self._say is not None and doc["alive"])
        return {**doc, "alive": alive, "heartbeat_timestamp": now if alive else doc["heartbeat_timestamp"]}

    def describe(self) -> str:
        return f"hosts at {', '.join(self._options.feed_listen) or 'no address'}"


def report(
    snapshot: Snapshot, context: Context, host: str, configurations: Mapping[str, Any], zone: str | None
) -> Outcome:
    """What a host says of itself. Raises ApiError where it says that it has the tunnel address of another host.

    Decided in the write, so that of two that come at the same time one is refused.
    """
    address = configurations.get("tunneling_ip")
    owners = sorted(doc["host"] for doc in snapshot.find("agent", "tunnel", address)) if address else []
    other = next((owner for owner in owners if owner != host), "")
    if other and host not in owners:
        raise conflict(
            "TunnelAddressInUse",
            f"tunneling_ip {address} of {host} is that of {other}. Where {other} is gone for good: "
            "`openstack network agent delete` its agents.",
        )
    return report_host(snapshot, context, host, configurations, zone)


WORDS: Mapping[str, Callable[..., Outcome]] = {
    "report": report, "acknowledge": acknowledge, "acknowledge_all": acknowledge_all, "alive": mark_alive,
    "copies": report_copies,
    "move": move_routers, "move_networks": move_networks, "settle_networks": settle_networks,
}  # fmt: skip
"""What hosts say, by the name under which servers hand it on to each other; values follow snapshot and context."""


def make_operation(name: str, values: Sequence[Any]) -> Operation:
    """Raises KeyError for a word that this version does not know."""
    run = WORDS[name]
    return lambda snapshot, context: run(snapshot, context, *values)


@asynccontextmanager
async def serve_fleet(
    options: ServerOptions,
    writer: Writer,
    say: Say | None = None,
    worker: int = 0,
    share: Share | None = None,
    look: Look | None = None,
) -> AsyncIterator[Fleet]:
    """Listen for hosts for as long as the context lasts. `say`: how what hosts say is written where this server may
    not be the writer; `look`: how it takes over what others wrote. `worker`: which process of this machine; a socket
    file is the first one's."""
    authority = open_authority(options.state_path / "feed", datetime.now(UTC), share=share)
    authority.load_hosts()  # a file that cannot be read stops the start, rather than the first host
    fleet = Fleet(options, writer, authority, say, look)
    quiet = writer.listen(fleet.advance)
    # Who was alive when the last server stopped is not, until it says so; a reconnecting host is alive in a moment.
    context = pki.make_server_context(
        authority.server_certificate_file, authority.server_key_file, authority.authority_file
    )
    ours = [address for address in options.feed_listen if not (worker and address.startswith("unix:"))]
    publishing = start_publishing(options, fleet.hub)
    servers = [await listen(address, fleet.hub.serve, context, options.api_workers > 1) for address in ours]
    fleet.hub.start()
    await fleet.settle()
    watching = asyncio.get_running_loop().create_task(fleet.watch())
    try:
        yield fleet
    finally:
        watching.cancel()
        publishing.cancel()
        await asyncio.gather(watching, publishing, return_exceptions=True)
        for server in servers:
            server.close()
        await fleet.hub.stop()
        await asyncio.sleep(0)
        quiet()
        await fleet.finish()


def make_join_token(options: ServerOptions, host: str) -> str:
    """A token with which `host` may join once, within the hour. The server may be running beside."""
    now = datetime.now(UTC)
    with open_share(options) as share:
        return open_authority(options.state_path / "feed", now, renew=False, share=share).make_token(host, now)


@contextmanager
def open_share(options: ServerOptions) -> Iterator[Share | None]:
    """For a command: what servers have in common, where they are several machines'. Raises StoreError."""
    if not find_database(options.database_url).shared:
        yield None
        return
    store = open_shared(options.database_url)
    try:
        yield make_share(store)
    finally:
        store.close()
