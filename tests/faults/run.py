"""Faults on a whole deployment while clients write, and then the question whether all is as it was said to be.

    python -m tests.faults.run --seed 1 --minutes 10 --engine mariadb

kills, empties, pauses, cuts, stalls and slows every part in an order made from the seed, mends all, waits until the
hosts have come to rest, and checks: every answer that a client got holds, nothing is there twice, revisions have no
gap, every host held what `resolve` says of each revision that it was told, and nothing that its ports did not lead to.
Prints what was found as JSON; ends with 1 when something was wrong. `--plan` prints the faults and does nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from netloom.intent.catalog import CATALOG
from netloom.store.check import check_store
from netloom.store.engine import open_reader
from netloom.store.load import encode_doc, load_snapshot
from netloom.store.log import decode_stored, read_rows
from netloom.testing.faults import Fault, make_plan
from netloom.testing.replay import Played, View, check_views, play
from netloom.testing.told import Told, check_requests, check_told
from tests.databases import Missing
from tests.faults.clients import Clients
from tests.faults.deployment import HOSTS, NATS, Deployment, Shape, deployed, find_shape, list_parts

CLIENTS = 6
REST_S = 120.0
"""How long hosts may take to come to rest after the last fault: they try again at most every 15 s."""
QUEUE = "notifications.info"
MOST_TOLD = 20
"""Faults found that are printed."""
Say = Callable[[str], None]


@dataclass
class Result:
    """What came of a run; `wrong` is empty when all was as it was said to be."""

    seed: int
    seconds: float
    faults: int = 0
    answers: int = 0
    unanswered: int = 0
    revisions: int = 0
    views: int = 0
    rest_s: float = 0.0
    to_nats_bytes: int = 0
    wrong: list[str] = field(default_factory=list)


async def run(folder: Path, seed: int, seconds: float, shape: Shape, say: Say = lambda line: None) -> Result:
    """All of it, in a new folder."""
    result = Result(seed, seconds)
    async with deployed(folder, shape) as deployment:
        plan = make_plan(seed, seconds, list_parts(shape))
        links = deployment.links
        addresses = [f"http://127.0.0.1:{links[f'clients/{name}'].port}" for name in deployment.servers]
        clients = Clients(addresses, HOSTS, random.Random(seed))
        writing = asyncio.ensure_future(clients.run(CLIENTS))
        try:
            await carry_out(deployment, plan, seconds, say)
        finally:
            clients.stopping = True
            await writing
        say(f"all is mended; {clients.told.answers} answers, {clients.told.unanswered} questions without")
        result.faults, result.answers, result.unanswered = len(plan), clients.told.answers, clients.told.unanswered
        result.to_nats_bytes = sum(link.sent for name, link in links.items() if name.endswith(f"/{NATS}"))
        began = time.monotonic()
        result.wrong = await wait_for_rest(deployment)
        result.rest_s = round(time.monotonic() - began, 1)
        result.wrong += await asyncio.to_thread(check_all, deployment, clients.told, result)
        if deployment.rabbit is not None:
            result.wrong += await check_announced(deployment.rabbit.url, clients.told)
    return result


async def run_stoppable(folder: Path, seed: int, seconds: float, shape: Shape) -> Result:
    """Stopped by a signal it still ends what it has started."""
    task = asyncio.ensure_future(run(folder, seed, seconds, shape, lambda line: print(line, flush=True)))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task


# -- faults ------------------------------------------------------------------------------------------------------------


async def carry_out(deployment: Deployment, plan: tuple[Fault, ...], seconds: float, say: Say) -> None:
    """Each fault at its time; all are over, and every part is up again, when this returns."""
    began = time.monotonic()
    await asyncio.gather(*(cause(deployment, fault, began, say) for fault in plan))
    await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))


async def cause(deployment: Deployment, fault: Fault, began: float, say: Say) -> None:
    await asyncio.sleep(max(0.0, began + fault.at_s - time.monotonic()))
    say(str(fault))
    async with deployment.claim(fault.part):
        if fault.part in deployment.links:
            await strain(deployment, fault)
        elif fault.action in ("kill", "empty"):
            await asyncio.to_thread(deployment.kill if fault.action == "kill" else deployment.empty, fault.part)
            await asyncio.sleep(fault.lasts_s)
            await asyncio.to_thread(deployment.start, fault.part)
        else:
            deployment.pause(fault.part)
            await asyncio.sleep(fault.lasts_s)
            deployment.wake(fault.part)


async def strain(deployment: Deployment, fault: Fault) -> None:
    link = deployment.links[fault.part]
    if fault.action == "cut":
        link.cut()
    elif fault.action == "stall":
        link.stall()
    else:
        link.delay(fault.delay_s)
    await asyncio.sleep(fault.lasts_s)
    link.mend()


# -- what is there in the end ------------------------------------------------------------------------------------------


async def wait_for_rest(deployment: Deployment) -> list[str]:
    """Until every host holds what the store says, and the store knows that; else what is still not so."""
    end = time.monotonic() + REST_S
    while True:
        wrong = await asyncio.to_thread(find_unrest, deployment)
        if not wrong or time.monotonic() > end:
            return wrong
        await asyncio.sleep(0.5)


def find_unrest(deployment: Deployment) -> list[str]:
    store = open_reader(deployment.url)
    try:
        snapshot = load_snapshot(store, CATALOG)
        played = play(CATALOG, encode_doc, [(snapshot.revision, list_stored(snapshot))], HOSTS)
    finally:
        store.close()
    return [*find_behind(deployment, played), *find_waiting(snapshot)]


def list_stored(snapshot: Any) -> list[Any]:
    return [(kind, id, record) for kind in CATALOG for id, record in snapshot.records(kind).items()]


def find_behind(deployment: Deployment, played: Played) -> Iterator[str]:
    for name, host in deployment.hosts.items():
        try:
            now = json.loads((host.state / name / "now.json").read_text())
        except OSError:
            now = {"slices": {}, "level": False}
        right = played.find(name, played.snapshot.revision)
        yield from (
            f"{name} does not hold {part} as it is in the end"
            for part in sorted(right.keys() | now["slices"].keys())
            if right.get(part) != now["slices"].get(part)
        )
        if not now["level"]:
            yield f"the devices of {name} are not what its slices say"


def find_waiting(snapshot: Any) -> Iterator[str]:
    for id, record in snapshot.records("port").items():
        if record.doc["binding:host_id"] and record.doc["status"] != "ACTIVE":
            yield f"port {id} on {record.doc['binding:host_id']} is {record.doc['status']} for ever"


async def check_announced(url: str, told: Told) -> list[str]:
    """Other services heard of every object that was made, at least once; what is on its way is waited for."""
    import aio_pika

    made = {item.id: f"{item.kind} {item.name}" for item in told.items if item.id}
    connection = await aio_pika.connect(url.replace("rabbit://", "amqp://"), timeout=30)
    async with connection:
        channel = await connection.channel()
        queue = await channel.get_queue(QUEUE)
        end = time.monotonic() + REST_S
        while made and time.monotonic() < end:
            message = await queue.get(no_ack=True, fail=False)
            if message is None:
                await asyncio.sleep(0.2)
                continue
            found = json.loads(json.loads(message.body)["oslo.message"])
            kind, _, verb = found["event_type"].partition(".")
            if verb == "create.end":
                made.pop(found["payload"].get(kind, {}).get("id"), None)
    return [f"{name} was never announced" for name in made.values()]


def check_all(deployment: Deployment, told: Told, result: Result) -> list[str]:
    store = open_reader(deployment.url)
    try:
        rows = read_rows(store, 0)
        snapshot = load_snapshot(store, CATALOG)
    finally:
        store.close()
    played = play(CATALOG, encode_doc, ((row.revision, decode_stored(row)) for row in rows), HOSTS)
    views = [view for host in deployment.hosts.values() for view in read_views(host.state / host.name, host.name)]
    result.revisions, result.views = len(rows), len(views)
    docs = {kind: [record.doc for record in snapshot.records(kind).values()] for kind in ("network", "subnet", "port")}
    return [
        *check_store(deployment.url),
        *([] if rows and rows[0].revision == 1 else ["the log does not begin at revision 1"]),
        *check_told(told, docs),
        *check_requests(told, [row.request_id for row in rows]),
        *check_views(played, views),
    ]


def read_views(folder: Path, host: str) -> Iterator[View]:
    """What the host wrote down; a line that was cut off by a kill says nothing."""
    path = folder / "views.jsonl"
    for line in path.read_text().splitlines() if path.exists() else ():
        if view := read_view(line):
            yield View(host, view["revision"], view["slices"], view["current"])


def read_view(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


# -- the command -------------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.run", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--engine", choices=("postgresql", "mariadb"), default="postgresql", help="of the store")
    parser.add_argument("--no-broker", action="store_true", help="neither RabbitMQ nor NATS")
    parser.add_argument("--plan", action="store_true", help="print the faults, and do nothing")
    parser.add_argument("--keep", action="store_true", help="leave logs and state where they are, and say where")
    given = parser.parse_args()
    shape, seconds = find_shape(given.engine, not given.no_broker), given.minutes * 60
    if given.plan:
        print(*make_plan(given.seed, seconds, list_parts(shape)), sep="\n")
        return
    folder = Path(tempfile.mkdtemp(prefix="nl-faults-"))
    try:
        try:
            result = asyncio.run(run_stoppable(folder, given.seed, seconds, shape))
        except Missing as missing:
            raise SystemExit(str(missing)) from None
        print(json.dumps({**asdict(result), "wrong": result.wrong[:MOST_TOLD], "found": len(result.wrong)}, indent=2))
        if result.wrong:
            sys.exit(1)
    finally:
        if given.keep:
            print(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
