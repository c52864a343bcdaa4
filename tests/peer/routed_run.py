"""Routed networks between real services: `python -m tests.peer.routed_run`. Two minutes.

A Netloom tells a Placement of its segments' addresses and a Nova's API of the hosts that reach them; Nova tells
Placement of its hosts. What Nova's scheduler asks for then finds the hosts that an instance's port can have an address
on. Status 1 if it does not.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.faults.host import attached
from tests.faults.server import Server
from tests.faults.test_nova_is_told import ask
from tests.peer.nova_api import Nova
from tests.peer.placement import Placement

WAIT_S = 120.0
HYPERVISORS = {"h1": "11111111-1111-4111-8111-111111111111", "h2": "22222222-2222-4222-8222-222222222222"}


@contextmanager
def run_login(nova: str) -> Iterator[str]:
    """Keystone as far as it is asked: everybody is an administrator."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            endpoint = {"interface": "public", "region_id": "r", "url": nova}
            data = json.dumps({"token": {"catalog": [{"type": "compute", "endpoints": [endpoint]}]}}).encode()
            self.send_response(201)
            self.send_header("X-Subject-Token", "admin")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{web.server_address[1]}"
    finally:
        web.shutdown()
        thread.join()
        web.server_close()


class Site:
    """The services, and the segments and subnets of a routed network by physical network."""

    def __init__(self, placement: Placement, nova: Nova, server: Server) -> None:
        self.placement = placement
        self.nova = nova
        self.server = server
        self.segments: dict[str, str] = {}
        self.subnets: dict[str, str] = {}

    def make_network(self) -> str:
        parts = [{"provider:network_type": "flat", "provider:physical_network": name} for name in ("p1", "p2")]
        network: str = ask(self.server, "POST", "networks", network={"segments": parts})["network"]["id"]
        for segment in ask(self.server, "GET", f"segments?network_id={network}")["segments"]:
            name = segment["physical_network"]
            self.segments[name] = segment["id"]
            body = {"network_id": network, "segment_id": segment["id"], "ip_version": 4, "cidr": f"10.0.{name[1]}.0/24"}
            self.subnets[name] = ask(self.server, "POST", "subnets", subnet=body)["subnet"]["id"]
        return network

    def find_part(self, name: str, part: str) -> Any:
        """What Placement has of the segment on a physical network; nothing where it has no such provider."""
        try:
            return self.placement.ask("GET", f"/resource_providers/{self.segments[name]}/{part}")[part]
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return {}

    def find_addresses(self, name: str) -> tuple[int, int]:
        """(all, reserved) of the segment on a physical network."""
        found = self.find_part(name, "inventories").get("IPV4_ADDRESS")
        return (found["total"], found["reserved"]) if found else (0, 0)

    def find_candidates(self, name: str) -> set[str]:
        """Where an instance with a port on that segment could be: what Nova's scheduler asks (its prefilter for routed
        networks), with the aggregates of the segment's provider."""
        found = self.find_part(name, "aggregates")
        if not found:
            return set()
        query = f"resources=VCPU:1&member_of=in:{','.join(found)}"
        requests = self.placement.ask("GET", f"/allocation_candidates?{query}")["allocation_requests"]
        names = {id: host for host, id in HYPERVISORS.items()}
        return {names[id] for one in requests for id in one["allocations"]}


def wait_for(what: Callable[[], object], wanted: object) -> None:
    """Until it is so; an error with what it is instead after two minutes."""
    end = time.monotonic() + WAIT_S
    while (found := what()) != wanted:
        if time.monotonic() > end:
            raise AssertionError(f"{wanted} was expected, not {found}")
        time.sleep(0.1)


@contextmanager
def open_site(folder: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        placement = Placement(folder / "placement")
        stack.callback(placement.stop)
        placement.start()
        for host, id in HYPERVISORS.items():
            placement.ask("POST", "/resource_providers", {"name": host, "uuid": id})
            inventories = {"inventories": {"VCPU": {"total": 8}}, "resource_provider_generation": 0}
            placement.ask("PUT", f"/resource_providers/{id}/inventories", inventories)
        nova = Nova(folder / "nova", placement.url)
        stack.callback(nova.stop)
        nova.make(*HYPERVISORS)
        nova.start()
        options = {
            "nova.auth_url": stack.enter_context(run_login(nova.url)), "nova.username": "n", "nova.password": "n",
            "placement.auth_type": "noauth", "placement.auth_section": placement.url,
            "ml2_type_flat.flat_networks": "*",
        }  # fmt: skip
        extra = tuple(word for name, value in options.items() for word in ("--set", f"{name}={value}"))
        server = Server(folder / "netloom", extra=extra)
        stack.callback(lambda: server.stop() if server.process is not None and server.process.poll() is None else None)
        server.start()
        yield Site(placement, nova, server)


def drive(site: Site) -> Iterator[str]:
    """What was found to be so, step by step. Raises AssertionError."""
    server = site.server
    with attached(server, "h1", told={"bridge_mappings": {"p1": "br-1"}}):
        network = site.make_network()
        wait_for(lambda: (site.find_addresses("p1"), site.find_addresses("p2")), ((254, 2), (254, 2)))
        yield "Placement has the addresses of both segments"
        wait_for(lambda: (site.find_candidates("p1"), site.find_candidates("p2")), ({"h1"}, set()))
        yield "an instance on the first segment is placed on its host"
        with attached(server, "h2", told={"bridge_mappings": {"p2": "br-2"}}), attached(
            server, "h9", told={"bridge_mappings": {"p1": "br-1", "p2": "br-2"}}
        ):  # fmt: skip
            wait_for(lambda: site.find_candidates("p2"), {"h2"})
            yield "a host that comes is found; one that is no hypervisor disturbs nobody"
        body = {"network_id": network, "fixed_ips": [{"subnet_id": site.subnets["p1"]}]}
        port = ask(server, "POST", "ports", port=body)["port"]
        wait_for(lambda: site.find_addresses("p1"), (254, 3))
        ask(server, "DELETE", f"ports/{port['id']}")
        wait_for(lambda: site.find_addresses("p1"), (254, 2))
        yield "an address that no instance has is reserved, while it is in use"
        server.kill()
        site.nova.stop()
        server.start()
        ask(server, "DELETE", f"subnets/{site.subnets['p1']}")
        wait_for(lambda: site.find_addresses("p1"), (0, 0))
        yield "addresses that are gone are gone in Placement, though Nova is away"
        site.nova.start()
        wait_for(lambda: len(site.nova.list_aggregates()), 1)
        ask(server, "DELETE", f"networks/{network}")
        wait_for(lambda: (site.find_addresses("p2"), site.nova.list_aggregates()), ((0, 0), {}))
        yield "and nothing is left of a network that is gone, in either"


def run() -> tuple[list[str], bool]:
    """The report's lines, and whether nothing failed."""
    folder, began = Path(tempfile.mkdtemp(prefix="netloom-routed-")), time.monotonic()
    lines, wrong = list[str](), ""
    try:
        with open_site(folder) as site:
            for line in drive(site):
                lines.append(line)
    except AssertionError as error:
        wrong = str(error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if wrong:
        lines.append(f"*** {wrong}")
    return [*lines, f"{time.monotonic() - began:.0f} s"], not wrong


def main() -> int:
    report, good = run()
    print("\n".join(report))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
