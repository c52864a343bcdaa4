"""Clients that never stop writing, whatever fails, and keep all that they were told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from netloom.testing.told import Item, Told

PATIENCE_S = 8.0
MANY = 8
"""Ports of one request now and again: what is long takes another way to relays than what is short."""
PAUSE_S = 0.02
"""Between two requests of a client: what is tried is faults, not throughput."""
REQUEST_ID = "x-openstack-request-id"
STALE = "warning"
"""A server that can ask nobody what there is says so on what it shows."""
Answer = tuple[int, Any, Mapping[str, str]]


@dataclass
class Clients:
    """`addresses`: of the servers, by way of links. All that is random comes from `dice`."""

    addresses: list[str]
    hosts: tuple[str, ...]
    dice: random.Random
    told: Told = field(default_factory=Told)
    session: aiohttp.ClientSession | None = None
    stopping: bool = False
    made: int = 0

    async def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Status, body and headers; 599 when nobody answered."""
        assert self.session is not None
        url = self.dice.choice(self.addresses) + path
        try:
            async with self.session.request(method, url, json=body) as reply:
                found = await reply.json(content_type=None) if reply.status != 204 else None
                return reply.status, found, reply.headers
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return 599, None, {}

    async def run(self, count: int) -> None:
        # A new connection for each request: on one that is kept, nobody knows whether a request was sent at all.
        connector = aiohttp.TCPConnector(force_close=True)
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as self.session:
            await asyncio.gather(*(self.work(n) for n in range(count)))

    async def work(self, number: int) -> None:
        """One client, with networks and ports of its own: every other one of them spans all hosts."""
        networks: list[Item] = []
        ports: list[Item] = []
        hosts = self.hosts if number % 2 else self.hosts[number % len(self.hosts) :][:1]
        while not self.stopping:
            await asyncio.sleep(PAUSE_S)
            networks, ports = [n for n in networks if n.is_there], [p for p in ports if p.is_there]
            await self.step(number, hosts, networks, ports)

    async def step(self, number: int, hosts: tuple[str, ...], networks: list[Item], ports: list[Item]) -> None:
        roll = self.dice.random()
        if len(networks) < 2:
            networks.append(await self.make_network(number))
        elif roll < 0.05:
            ports += await self.make_ports(number, self.dice.choice(networks), hosts)
        elif len(ports) < 2 or roll < 0.35:
            ports.append(await self.make_port(number, self.dice.choice(networks), self.dice.choice(hosts)))
        elif roll < 0.65:
            await self.change(self.dice.choice(ports), self.dice.choice((*hosts, "")))
        elif roll < 0.8 or len(ports) > 4:
            await self.delete(self.dice.choice(ports))
        else:
            await self.look(self.dice.choice([*networks, *ports]))

    def name(self, number: int) -> str:
        self.made += 1
        return f"c{number}-{self.made}"

    async def make_network(self, number: int) -> Item:
        item = await self.create("network", self.name(number), {})
        if item.is_there:
            cidr = {"network_id": item.id, "cidr": "10.0.0.0/16", "ip_version": 4}
            await self.create("subnet", f"{item.name}-s", cidr)
        return item

    async def make_port(self, number: int, network: Item, host: str) -> Item:
        fields = {"network_id": network.id, "binding:host_id": host, "device_owner": "compute:nova"}
        return await self.create("port", self.name(number), fields)

    async def make_ports(self, number: int, network: Item, hosts: tuple[str, ...]) -> list[Item]:
        """All of one request: there, or not."""
        fields = {"network_id": network.id, "device_owner": "compute:nova", "description": "x" * 60}
        asked = [{**fields, "name": self.name(number), "binding:host_id": self.dice.choice(hosts)} for _ in range(MANY)]
        items = [self.told.begin("port", one["name"], one) for one in asked]
        status, body, headers = await self.ask("POST", "/v2.0/ports", {"ports": asked})
        for n, item in enumerate(items):
            doc = body["ports"][n] if status == 201 else body
            self.told.take(item, status, doc, headers.get(REQUEST_ID, ""))
        return items

    async def create(self, kind: str, name: str, fields: Mapping[str, Any]) -> Item:
        item = self.told.begin(kind, name, fields)
        status, body, headers = await self.ask("POST", f"/v2.0/{kind}s", {kind: {**fields, "name": name}})
        self.told.take(item, status, body and body.get(kind, body), headers.get(REQUEST_ID, ""))
        return item

    async def change(self, port: Item, host: str) -> None:
        fields = {"binding:host_id": host, "description": f"d{self.dice.getrandbits(32):x}"}
        self.told.ask(port, {**(port.may_be[0] or {}), **fields})
        status, body, headers = await self.ask("PUT", f"/v2.0/ports/{port.id}", {"port": fields})
        self.told.take(port, status, body and body.get("port", body), headers.get(REQUEST_ID, ""))

    async def delete(self, port: Item) -> None:
        self.told.ask(port, None)
        status, body, headers = await self.ask("DELETE", f"/v2.0/ports/{port.id}")
        self.told.take(port, status, body, headers.get(REQUEST_ID, ""))

    async def look(self, item: Item) -> None:
        status, body, headers = await self.ask("GET", f"/v2.0/{item.kind}s/{item.id}")
        if STALE not in headers:
            self.told.see(item, status, body and body.get(item.kind))
