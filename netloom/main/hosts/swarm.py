"""Composition of many agents in one process, for `netloom lab swarm`: real feeds, real loops, devices that are dicts.

A process of a swarm is told what to be by one line of JSON on its standard input, and asked by further lines; it
answers each by a line on its standard output, and ends when its input does.
"""

from __future__ import annotations

import asyncio
import datetime
import gc
import json
import logging
import math
import os
import random
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from netloom.agent.loop import Agent
from netloom.agent.parts import Parts, Tuning
from netloom.feed import pki
from netloom.feed.cache import Cache
from netloom.feed.client import Feed, request_join
from netloom.lab.swarm_check import find_differences
from netloom.lab.swarm_fill import describe_host
from netloom.lab.swarm_host import Device, Ear, Plugs, Quiet, follow
from netloom.main.hosts.papers import Papers
from netloom.main.servers.authority import Authority, open_authority
from netloom.render.answers import Settings
from netloom.render.host import Renderer
from netloom.render.status import find_floating, find_pending

LOG = logging.getLogger("netloom.swarm")
LOOK_S = 0.02
"""How often a question that waits for hosts looks again."""
AT_ONCE = 4
"""Hosts of one process that start at the same time."""
COMPARES = False
"""Four times a minute a host counts what it holds again: 7 ms, which each of a thousand hosts has and two cores have
not. `--check` compares all of it."""
SLOW_CLOCK = Tuning(drift_s=86400.0)
"""The devices of a swarm do not drift; comparing millions of flows every minute would measure nothing else."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a process is to be. `hosts`: (name, tunnel address, its number); the first `rendering` have devices.

    `authority`: the folder of the one that signs for them; or else `joining`, each host's join token.
    """

    folder: Path
    addresses: tuple[str, ...]
    hosts: tuple[tuple[str, str, int], ...]
    rendering: int
    authority: str = ""
    joining: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Task:
        hosts = tuple((str(name), str(ip), int(number)) for name, ip, number in given["hosts"])
        addresses = tuple(map(str, given["addresses"]))
        joining = {str(host): str(token) for host, token in given.get("joining", {}).items()}
        authority = str(given.get("authority", ""))
        return cls(Path(given["folder"]), addresses, hosts, int(given["rendering"]), authority, joining)

    def find_papers(self, host: str) -> Papers:
        return Papers(self.folder / "hosts" / host)


@dataclass(frozen=True, slots=True)
class Member:
    """One host of the swarm. `device` is None where it only follows."""

    ear: Ear
    plugs: Plugs
    device: Device | None
    works: tuple[Callable[[], Coroutine[Any, Any, None]], ...]


async def get_papers(task: Task) -> None:
    """For every host that has none. Raises JoinError."""
    authority = open_authority(Path(task.authority), now(), renew=False) if task.authority else None
    for host, _, _ in task.hosts:
        papers = task.find_papers(host)
        if papers.whole:
            continue
        if authority is not None:
            issue_papers(authority, papers, host)
        else:
            await join(papers, host, task)


async def join(papers: Papers, host: str, task: Task) -> None:
    """As `netloom agent join` does."""
    key = pki.make_key()
    token = pki.parse_token(task.joining.get(host, ""))
    joined = await request_join(task.addresses[0], token, pki.make_request(key, host))
    papers.write(papers.key, pki.encode_key(key))
    papers.save(joined)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def issue_papers(authority: Authority, papers: Papers, host: str) -> None:
    """What joining with a token would give; made here, for a thousand tokens would be a thousand commands."""
    key = pki.make_key()
    papers.write(papers.key, pki.encode_key(key))
    certificate = pki.sign_request(authority.authority, host, pki.make_request(key, host), now())
    papers.write(papers.authority, authority.authority.certificate)
    papers.write(papers.certificate, certificate.encode())


def make_member(task: Task, at: int) -> Member:
    """Its papers are there."""
    host, tunnel_ip, number = task.hosts[at]
    papers = task.find_papers(host)
    feed = Feed(
        host, order_addresses(task.addresses, number), papers.open_context, Cache(papers.folder / "slices"),
        program="swarm", configurations=describe_host(number), grant=lambda relay: papers.make_grant(host, relay),
        compares=COMPARES,
    )  # fmt: skip
    ear = Ear(feed)
    plugs = Plugs(host, tunnel_ip, feed)
    if at >= task.rendering:
        return Member(ear, plugs, None, (feed.run, lambda: follow(ear)))
    device = Device()
    parts = Parts(
        feed=ear, facts=plugs, packets=Quiet(), drivers={"memory": device}, render=Renderer().render,
        find_pending=find_pending, find_floating=find_floating, clock=time.monotonic, chance=random.random,
    )  # fmt: skip
    agent = Agent(parts, SLOW_CLOCK, Settings(), describe_host(number))
    return Member(ear, plugs, device, (feed.run, agent.run))


def order_addresses(addresses: tuple[str, ...], number: int) -> str:
    """All of them, each host with another one first.

    >>> order_addresses(("a", "b", "c"), 4)
    'b,c,a'
    """
    at = number % len(addresses)
    return ",".join((*addresses[at:], *addresses[:at]))


class Herd:
    """The members of one process, and the answers to what is asked of them."""

    def __init__(self, task: Task) -> None:
        self.members = {task.hosts[at][0]: make_member(task, at) for at in range(len(task.hosts))}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """A few hosts at a time: each has to render all it holds once, and who is kept from answering pings is gone."""
        waiting = iter(self.members.values())
        self._tasks += [asyncio.ensure_future(self._start_some(waiting)) for _ in range(AT_ONCE)]

    async def _start_some(self, waiting: Iterator[Member]) -> None:
        for member in waiting:
            self._tasks += [asyncio.ensure_future(work()) for work in member.works]
            await wait_until(lambda ear=member.ear: bool(ear.acknowledged), math.inf)  # type: ignore[misc]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- questions -----------------------------------------------------------------------------------------------------

    async def answer(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        match question["do"]:
            case "count":
                return self.count()
            case "wait":
                return await self.wait(question)
            case "settle":
                return await self.settle(float(question["since"]), float(question["deadline_s"]))
            case "freeze":
                gc.freeze()
                gc.enable()
                return {}
            case "check":
                held = {host: (one.ear.slices, one.plugs, one.device) for host, one in self.members.items()}
                return {"differences": await asyncio.to_thread(find_differences, str(question["store"]), held)}
        return {"error": f"what is {question['do']}?"}

    def count(self) -> Mapping[str, Any]:
        """What this process has done and what it holds."""
        members = self.members.values()
        return {
            "hosts": len(self.members),
            "connected": sum(one.ear.feed.connected for one in members),
            "complete": sum(one.ear.complete for one in members),
            "slices": sum(len(one.ear.slices) for one in members),
            "rows": sum(len(part.rows) for one in members for part in one.ear.slices.values()),
            "things": sum(len(one.device.held) for one in members if one.device),
            "ops": sum(one.device.count for one in members if one.device),
            "turns": sum(one.ear.count for one in members),
            "acknowledgements": sum(one.ear.said for one in members),
            "received": sum(one.ear.feed.received_bytes for one in members),
            "cpu_s": round(time.process_time(), 3),
            "rss_mib": read_rss_mib(),
        }

    async def wait(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """When each of the hosts first heard of something after `since`, and acknowledged it; 0: not in time."""
        since, ends = float(question["since"]), time.monotonic() + float(question["deadline_s"])
        asked = [self.members[host].ear for host in question["hosts"] or self.members if host in self.members]
        for ear in asked:
            await wait_until(lambda ear=ear: ear.find_moments(since)[1] > 0, ends)  # type: ignore[misc]
        return {"moments": [ear.find_moments(since) for ear in asked]}

    async def settle(self, since: float, deadline_s: float) -> Mapping[str, Any]:
        """When the last host had all that is meant for it, and how many never had; counted from `since`."""
        ends = time.monotonic() + deadline_s
        for member in self.members.values():
            await wait_until(lambda ear=member.ear: is_current(ear, since), ends)  # type: ignore[misc]
        moments = [next((at for _, at in one.ear.heard if at >= since), 0.0) for one in self.members.values()]
        return {"moments": moments}


async def wait_until(ready: Callable[[], bool], ends: float) -> None:
    """Until `ready()`, or the monotonic clock shows `ends`."""
    while not ready():
        if time.monotonic() >= ends:
            return
        await asyncio.sleep(LOOK_S)


def is_current(ear: Ear, since: float) -> bool:
    return ear.feed.connected and bool(ear.heard) and ear.heard[-1][1] >= since


def read_rss_mib() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


async def serve() -> None:
    reader = asyncio.StreamReader(limit=1 << 26)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    gc.disable()  # until all are there: it would look at millions of things again and again, and nothing is garbage yet
    task = Task.parse(json.loads(await reader.readline()))
    try:
        await get_papers(task)
    except pki.JoinError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return
    herd = Herd(task)
    herd.start()
    print(json.dumps({"hosts": len(herd.members)}), flush=True)
    try:
        while line := await reader.readline():
            print(json.dumps(await herd.answer(json.loads(line))), flush=True)
    finally:
        await herd.stop()


def main() -> None:
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    uvloop.run(serve())


if __name__ == "__main__":
    main()
