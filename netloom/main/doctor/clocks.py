"""What `netloom doctor` finds of clocks that are apart: tokens, certificates and leases end by the clock of whoever
looks at them.

Law: nobody is believed a clock that he does not tell: who answers nothing was not compared, and that is said.

The database's clock stands for all servers of it: each machine's doctor compares its own with that. Others are asked by
HTTP, whose answers have a date in whole seconds (RFC 9110, 6.6.1).
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from sqlalchemy import func, select

from netloom.main.doctor.findings import OK, WARNING, Finding
from netloom.main.options.server import ServerOptions
from netloom.store.engine import open_reader
from netloom.store.schema import LOG

SKEW_S = 5.0
"""How far two clocks may be apart before somebody notices."""
PATIENCE_S = 5.0
FIX = "run chrony or systemd-timesyncd on every machine"


def compare_clocks(theirs_s: float, ours_s: float, where: str) -> Iterator[Finding]:
    if abs(theirs_s - ours_s) > SKEW_S:
        said = f"the clock of {where} is {abs(theirs_s - ours_s):.0f} s {'ahead' if theirs_s > ours_s else 'behind'}"
        yield Finding("clock", WARNING, said, FIX)


def check_server_clocks(options: ServerOptions) -> Iterator[Finding]:
    """Of Keystone, by which tokens end; of who answers for all servers; and of who wrote last."""
    keystone = options.keystone.auth_url if options.keystone else ""
    yield from check_clocks(url for url in (keystone, options.public_url) if url)
    yield from check_log(options, time.time())


def check_clocks(urls: Iterable[str]) -> Iterator[Finding]:
    """Of whoever answers at these URLs."""
    for url in dict.fromkeys(urls):
        where = urlsplit(url).netloc.rpartition("@")[2]
        try:
            theirs_s, ours_s = ask_clock(url)
        except (OSError, HTTPException, ValueError) as error:
            said = f"not compared with that of {where}: {str(error) or type(error).__name__}"
            yield Finding("clocks", OK, said)
        else:
            yield from compare_clocks(theirs_s, ours_s, where)


def ask_clock(url: str) -> tuple[float, float]:
    """(the clock of who answers, ours at that moment). Raises OSError, HTTPException; ValueError: it tells no time.

    Nothing secret is sent, so it may be anybody, with any certificate: the worst that a liar gets is a warning.
    """
    parts = urlsplit(url)
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    if parts.scheme == "https":
        wire: HTTPConnection = HTTPSConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S, context=anyone)
    else:
        wire = HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S)
    try:
        before_s = time.time()
        wire.request("GET", "/", headers={"Connection": "close"})
        told = wire.getresponse().getheader("Date")
        ours_s = (before_s + time.time()) / 2
    finally:
        wire.close()
    if not told:
        raise ValueError("its answer has no date")
    return parsedate_to_datetime(told).timestamp() + 0.5, ours_s


def check_log(options: ServerOptions, now_s: float) -> Iterator[Finding]:
    """What was written last is not of the future: who wrote it may be any server, and some have gone."""
    try:
        store = open_reader(options.database_url)
    except Exception:
        return  # another check has said why
    try:
        with store.read() as connection:
            newest = select(func.max(LOG.c.revision)).scalar_subquery()
            told = connection.execute(select(LOG.c.at).where(LOG.c.revision == newest)).scalar_one_or_none()
    finally:
        store.close()
    ahead_s = datetime.fromisoformat(told).timestamp() - now_s if told else 0.0
    if ahead_s > SKEW_S:
        said = f"the last change is of a time {ahead_s:.0f} s from now: the clock of the server that wrote it is ahead"
        yield Finding("clock", WARNING, said, FIX)


def find_apis(addresses: Iterable[str], port: int, tls: bool) -> list[str]:
    """Where servers answer HTTP that are known by where they serve hosts: beside that, at the API's port."""
    hosts = (address.rpartition(":")[0] for address in addresses if not address.startswith("unix:"))
    return [f"{'https' if tls else 'http'}://{host}:{port}" for host in dict.fromkeys(hosts) if host]
