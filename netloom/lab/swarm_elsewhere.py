"""A swarm of a server that runs already, on this machine or another one: what that takes, and its cloud, by HTTP.

Hosts join with tokens that the server gave; what they carry is asked for by an administrator, in projects that only
swarms have. Law: when it ends, however that is, the server's cloud is as it was; what an earlier one left is removed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from netloom.intent.catalog import CATALOG
from netloom.intent.schema import Doc
from netloom.lab.shell import LabError, Say
from netloom.lab.swarm import Figures, Swarm, Wanted, Watch
from netloom.lab.swarm_fill import AT_ONCE, COMMON, NO_QUOTAS, fill_cloud
from netloom.lab.swarm_measure import ask, open_http
from netloom.lab.swarm_plan import CloudPlan, Shape, name_host, plan_cloud

FEED_PORT = 9697
WAIT_S, LOOK_S = 300.0, 1.0
NAMED = 3
"""How many of many hosts are named in a message."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The server. `feed`: where its hosts connect; `token`: an administrator's, for its API; `joining`: by host."""

    folder: Path
    url: str
    feed: str
    token: str = ""
    joining: Mapping[str, str] = field(default_factory=dict)

    @property
    def headers(self) -> Mapping[str, str]:
        return {"X-Auth-Token": self.token} if self.token else {}

    def find_papers(self, hosts: Sequence[str]) -> Figures:
        return {"joining": {host: self.joining[host] for host in hosts if host in self.joining}}

    def measure(self) -> Figures:
        """Nothing of its machine can be read here; what it says of itself is at /metrics."""
        return {}


# -- what it takes -----------------------------------------------------------------------------------------------------


def find_feed(url: str, given: str) -> str:
    """Where hosts connect: as given, or the API's machine and the port that a server listens on unless told otherwise.

    >>> find_feed("http://netloom.example.org:9696", "")
    'netloom.example.org:9697'
    """
    host = urlsplit(url).hostname or ""
    return given or f"{f'[{host}]' if ':' in host else host}:{FEED_PORT}"


def parse_joining(text: str) -> dict[str, str]:
    """Join tokens by host, as `netloom agent token` prints them: one a line, its host first in it.

    >>> parse_joining("h00001:s:f\\n\\n")
    {'h00001': 'h00001:s:f'}
    """
    return {line.partition(":")[0]: line for line in map(str.strip, text.splitlines()) if line}


def find_missing(hosts: Iterable[str], joining: Mapping[str, str], folder: Path) -> list[str]:
    """Hosts that have neither a token nor papers of an earlier swarm in the same folder."""
    return [host for host in hosts if host not in joining and not (folder / "hosts" / host / "cert.pem").exists()]


def check_joining(shape: Shape, joining: Mapping[str, str], folder: Path) -> None:
    """Raises LabError that says what to do."""
    missing = find_missing(map(name_host, range(1, shape.hosts + 1)), joining, folder)
    if missing:
        words = ", ".join(missing[:NAMED]) + (f" and {len(missing) - NAMED} more" if len(missing) > NAMED else "")
        raise LabError(
            f"{words} cannot join: on the server's machine `netloom agent token $(seq -f 'h%05g' 1 {shape.hosts}) > "
            "FILE`, and --join-tokens FILE here. With --folder, who joined once needs no other token."
        )


async def check_server(http: httpx.AsyncClient) -> None:
    """Raises LabError where it does not answer, or not to an administrator."""
    try:
        reply = await http.get("agents", params={"fields": "id", "limit": "1"})
    except httpx.HTTPError as error:
        raise LabError(f"no answer from {http.base_url} ({error!r}): --server is the URL of its API") from None
    if reply.status_code in (401, 403):
        raise LabError(
            f"{http.base_url} says {reply.status_code}: --token (or OS_TOKEN) has to be an administrator's, such as "
            "`openstack token issue -f value -c id` prints"
        )
    if reply.status_code != 200:
        raise LabError(f"{http.base_url} says {reply.status_code}: {reply.text[:300]}")


# -- its cloud ---------------------------------------------------------------------------------------------------------


class ApiMaker:
    """Makes objects by requests."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def create(self, kind: str, *bodies: Doc) -> Sequence[Doc]:
        """One by name, several in bulk."""
        resource = CATALOG[kind]
        if len(bodies) == 1:
            return [(await ask(self._http, "POST", resource.path, json={kind: dict(bodies[0])}))[kind]]
        body = {resource.collection: [dict(one) for one in bodies]}
        found: list[Doc] = (await ask(self._http, "POST", resource.path, json=body))[resource.collection]
        return found

    async def find_default_group(self, project: str) -> str:
        """It was made with the project's first network."""
        found = await list_all(self._http, "security_group", project_id=project, name="default")
        if not found:
            raise LabError(f"project {project} has no default security group")
        return str(found[0]["id"])

    async def tie(self, router: str, subnet: str) -> None:
        await ask(self._http, "PUT", f"routers/{router}/add_router_interface", json={"subnet_id": subnet})


async def list_all(http: httpx.AsyncClient, kind: str, **query: Any) -> list[Doc]:
    resource = CATALOG[kind]
    found: list[Doc] = (await ask(http, "GET", resource.path, params={"fields": "id", **query}))[resource.collection]
    return found


async def lift_quotas(http: httpx.AsyncClient, plan: CloudPlan) -> None:
    for project in plan.projects:
        await ask(http, "PUT", f"quotas/{project.id}", json={"quota": NO_QUOTAS})


async def remove_cloud(http: httpx.AsyncClient, plan: CloudPlan) -> None:
    """All that the projects of the plan have, and what was made for all hosts."""
    waiting = iter(plan.projects)

    async def work() -> None:
        for project in waiting:
            await remove_project(http, project.id)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    for kind in ("security_group", "address_group"):
        for found in await list_all(http, kind, name=COMMON):
            await remove(http, kind, found)


async def remove_project(http: httpx.AsyncClient, project: str) -> None:
    """Routers let go of their subnets first, instances' ports go before their networks, groups after all ports."""
    for router in await list_all(http, "router", project_id=project):
        for port in await list_all(http, "port", device_id=router["id"]):
            await ask(http, "PUT", f"routers/{router['id']}/remove_router_interface", json={"port_id": port["id"]})
        await remove(http, "router", router)
    for port in await list_all(http, "port", project_id=project, device_owner="compute:nova"):
        await remove(http, "port", port)
    for kind in ("network", "security_group"):
        for found in await list_all(http, kind, project_id=project):
            await remove(http, kind, found)
    await ask(http, "DELETE", f"quotas/{project}", gone=True)


async def remove(http: httpx.AsyncClient, kind: str, doc: Doc) -> None:
    await ask(http, "DELETE", f"{CATALOG[kind].path}/{doc['id']}", gone=True)


async def remove_agents(http: httpx.AsyncClient, hosts: frozenset[str]) -> None:
    found = await ask(http, "GET", "agents", params={"fields": ["id", "host"]})
    for agent in found["agents"]:
        if agent["host"] in hosts:
            await ask(http, "DELETE", f"agents/{agent['id']}", gone=True)


async def wait_for(what: str, holds: Any, deadline_s: float) -> None:
    """Until `holds()`, asked every second. Raises LabError."""
    ends = time.monotonic() + deadline_s
    while not await holds():
        if time.monotonic() > ends:
            raise LabError(f"{what}: not after {deadline_s:g} s")
        await asyncio.sleep(LOOK_S)


async def are_alive(http: httpx.AsyncClient, hosts: Sequence[str]) -> bool:
    found = await ask(http, "GET", "agents", params={"fields": ["host", "alive"]})
    return {one["host"] for one in found["agents"] if one["alive"]}.issuperset(hosts)


async def are_active(http: httpx.AsyncClient, waiting: set[str]) -> bool:
    """Of the projects that wait, those whose ports are all ACTIVE do not wait any more."""
    for project in tuple(waiting):
        query = {"project_id": project, "device_owner": "compute:nova", "status": ["DOWN", "BUILD", "ERROR"]}
        if await list_all(http, "port", limit="1", **query):
            return False
        waiting.discard(project)
    return True


@asynccontextmanager
async def run_joined(wanted: Wanted, server: Elsewhere, say: Say) -> AsyncIterator[Swarm]:
    """Hosts that have joined the server, and a cloud on them that it was asked for; removed in the end."""
    plan, shape, watch = plan_cloud(wanted.shape), wanted.shape, Watch()
    swarm = Swarm(wanted, plan, server)
    check_joining(shape, server.joining, server.folder)
    async with open_http(swarm) as http:
        await check_server(http)
        await remove_cloud(http, plan)
        try:
            say(f"{shape.hosts} hosts join {server.feed}")
            await swarm.bring_hosts([server.feed])
            await wait_for("all hosts alive in the API", lambda: are_alive(http, plan.hosts), WAIT_S)
            watch.note("joined_s")
            say(f"{shape.ports} ports of {len(plan.projects)} projects in {len(plan.networks)} networks are asked for")
            await lift_quotas(http, plan)
            await fill_cloud(ApiMaker(http), plan)
            watch.note("filled_s")
            say("until all ports are ACTIVE")
            waiting = {project.id for project in plan.projects}
            await wait_for("all ports ACTIVE", lambda: are_active(http, waiting), WAIT_S + shape.hosts)
            await swarm.finish_bring_up(watch)
            yield swarm
        finally:
            say("what was made is removed")
            await remove_cloud(http, plan)
            await swarm.stop_hosts()
            await remove_agents(http, frozenset(plan.hosts))
