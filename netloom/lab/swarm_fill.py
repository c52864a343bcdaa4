"""A planned cloud, asked for: of a store through the writer, as a server would have it after years of requests, or, by
another `Maker`, of a server.

Law: nothing is in the store that the same requests over HTTP would not have put there.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from netloom.intent.agents.agent import report_host
from netloom.intent.catalog import CATALOG
from netloom.intent.draft import Draft
from netloom.intent.operation import Context, Operation, Outcome, Requester, Settings
from netloom.intent.operations import make_action, make_create
from netloom.intent.schema import Doc, parse_create
from netloom.intent.security.security_group_make import ensure_default_group
from netloom.intent.snapshot import Snapshot
from netloom.lab.swarm_plan import CloudPlan, NetworkPlan, ProjectPlan, make_tunnel_ip
from netloom.store.context import make_contexts
from netloom.store.engine import open_shared
from netloom.store.journal import SqlJournal
from netloom.store.load import load_snapshot
from netloom.store.writer import Writer

NO_QUOTAS = {"network": -1, "subnet": -1, "port": -1, "router": -1, "security_group": -1, "security_group_rule": -1}
ADMIN = Requester(user_id="swarm", project_id="swarm", roles=("admin",), is_admin=True)
COMMON = "swarm-common"
"""The name of the operator's group that one port of each host is in, and of the set of addresses that it lets in."""
TOGETHER = 250
"""Ports of one request."""
AT_ONCE = 16
"""Projects that are filled at the same time, so that a commit has more than one request."""


def describe_host(number: int) -> dict[str, Any]:
    """What the host with that number says of itself, as the `configurations` of its agent."""
    return {
        "tunneling_ip": make_tunnel_ip(number), "tunnel_types": ["vxlan"], "bridge_mappings": {},
        "datapath_type": "system", "integration_bridge": "br-int", "tunnel_bridge": "br-tun", "l2_population": True,
        "arp_responder_enabled": True, "ovs_hybrid_plug": False, "log_agent_heartbeats": False,
        "metadata_path": "host",
    }  # fmt: skip


def report(host: str, number: int) -> Operation:
    return lambda snapshot, context: report_host(snapshot, context, host, describe_host(number), None)


class Maker(Protocol):
    """Who carries requests out."""

    async def create(self, kind: str, *bodies: Doc) -> Sequence[Doc]:
        """What was made, in the order of the bodies."""
        ...

    async def find_default_group(self, project: str) -> str: ...

    async def tie(self, router: str, subnet: str) -> None:
        """Give the router an interface on the subnet."""
        ...


class StoreMaker:
    """Makes objects through a writer."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def create(self, kind: str, *bodies: Doc) -> Sequence[Doc]:
        resource = CATALOG[kind]
        operation = make_create(resource, [parse_create(resource, body) for body in bodies])
        return (await self.run(operation)).answer

    async def run(self, operation: Operation) -> Outcome:
        return (await self._writer.submit(operation, ADMIN)).outcome

    async def register(self, plan: CloudPlan) -> None:
        """The agents of all hosts, as if each had connected once."""
        for hosts in cut(list(enumerate(plan.hosts, 1)), 100):
            await asyncio.gather(*(self.run(report(host, number)) for number, host in hosts))

    async def find_default_group(self, project: str) -> str:
        def ensure(snapshot: Snapshot, context: Context) -> Outcome:
            draft = Draft(snapshot, context)
            ensure_default_group(draft, project)
            return draft.finish()

        await self.run(ensure)
        found = self._writer.snapshot.lookup("security_group", "default", project)
        assert found is not None
        return str(found["id"])

    async def tie(self, router: str, subnet: str) -> None:
        resource = CATALOG["router"]
        action = next(action for action in resource.actions if action.name == "add_router_interface")
        await self.run(make_action(resource, action, router, {"subnet_id": subnet}))


class Filler:
    """Has a cloud made, project by project."""

    def __init__(self, maker: Maker) -> None:
        self._maker = maker
        self._common = ""

    async def create(self, kind: str, body: Doc) -> str:
        return str((await self._maker.create(kind, body))[0]["id"])

    async def make_common(self) -> None:
        """The operator's group, which lets in what is in a set of addresses."""
        addresses = await self.create("address_group", {"name": COMMON, "addresses": ["192.0.2.1/32"]})
        self._common = await self.create("security_group", {"name": COMMON})
        rule = {"security_group_id": self._common, "direction": "ingress", "remote_address_group_id": addresses}
        await self.create("security_group_rule", rule)

    async def fill(self, project: ProjectPlan) -> int:
        """Everything of one project; how many ports that is."""
        made = [await self.create("network", describe_network(project, one)) for one in project.networks]
        subnets = []
        for number, network in enumerate(made):
            body = {"network_id": network, "project_id": project.id, "ip_version": 4, "cidr": f"10.{number}.0.0/24"}
            subnets.append(await self.create("subnet", body))
        group = await self._maker.find_default_group(project.id)
        for planned, network in zip(project.networks, made, strict=True):
            for ports in cut(list(enumerate(planned.hosts)), TOGETHER):
                groups = ([group, *([self._common] if at in planned.common else [])] for at, _ in ports)
                bodies = [
                    make_port(project.id, network, host, ids) for (_, host), ids in zip(ports, groups, strict=True)
                ]
                await self._maker.create("port", *bodies)
        if project.routed:
            router = await self.create("router", {"project_id": project.id})
            for subnet in subnets:
                await self._maker.tie(router, subnet)
        return sum(len(network.hosts) for network in project.networks)


def describe_network(project: ProjectPlan, network: NetworkPlan) -> Doc:
    return {"project_id": project.id, "name": name_network(network)}


def name_network(network: NetworkPlan) -> str:
    return f"swarm-{network.number}"


def make_port(project: str, network: str, host: str, groups: Sequence[str]) -> Doc:
    return {
        "network_id": network, "project_id": project, "binding:host_id": host, "device_owner": "compute:nova",
        "security_groups": list(groups),
    }  # fmt: skip


def cut(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


Progress = Callable[[int], None]
"""Told of the ports that there are so far."""


async def fill_cloud(maker: Maker, plan: CloudPlan, on_progress: Progress = lambda ports: None) -> None:
    """Have the whole plan made. Hosts must be known already, or nothing could be bound to them."""
    filler, done, waiting = Filler(maker), 0, iter(plan.projects)

    async def work() -> None:
        nonlocal done
        for project in waiting:
            done += await filler.fill(project)
            on_progress(done)

    await filler.make_common()
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work())
    except ExceptionGroup as failed:  # the first says why; the others were kept from going on
        raise failed.exceptions[0] from None


@contextmanager
def collector_off() -> Iterator[None]:
    """For work that makes millions of things and hardly a ring of them: looking for rings would be a third of it."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


async def fill_store(url: str, plan: CloudPlan, on_progress: Progress = lambda ports: None) -> None:
    """Write the plan into the store. Nobody else may write there."""
    store = open_shared(url)
    writer = Writer(SqlJournal(store), load_snapshot(store, CATALOG), make_contexts(Settings(quotas=NO_QUOTAS)))
    maker = StoreMaker(writer)
    try:
        with collector_off():
            await maker.register(plan)
            await fill_cloud(maker, plan, on_progress)
    finally:
        await writer.close()
        store.close()
