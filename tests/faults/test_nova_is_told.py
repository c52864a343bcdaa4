"""A real server tells a Nova of the ports of its instances, also after it was killed."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.faults.host import attached
from tests.faults.server import Server

SERVER_ID = "11111111-1111-4111-8111-111111111111"
Told = list[dict[str, Any]]


@contextmanager
def run_nova(told: Told) -> Iterator[str]:
    """Keystone and Nova on loopback, as far as they are asked; gives Keystone's address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path.endswith("/auth/tokens"):
                endpoint = {"interface": "public", "region_id": "r", "url": f"{url}/v2.1"}
                self.answer(201, {"token": {"catalog": [{"type": "compute", "endpoints": [endpoint]}]}})
                return
            told.extend(body["events"])
            self.answer(200, {"events": [{**event, "code": 200} for event in body["events"]]})

        def answer(self, status: int, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("X-Subject-Token", "token")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{web.server_address[1]}"
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield url
    finally:
        web.shutdown()
        thread.join()
        web.server_close()


def ask(server: Server, method: str, path: str, **body: Any) -> Any:
    data = json.dumps(body).encode() if body else None
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{server.url}/v2.0/{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.loads(reply.read() or b"null")


def wait_told(told: Told, *names: str) -> None:
    """Until Nova has heard these, in this order, and nothing else. What was told right before a kill may not have been
    noted as told, and is told once more."""
    end = time.monotonic() + 60
    while (heard := [name for name, _ in groupby(event["name"] for event in told)]) != list(names):
        assert time.monotonic() < end, heard
        time.sleep(0.01)


def test_nova_hears_of_its_instances_ports(tmp_path: Path) -> None:
    """Plugged when its host says so, changed when it is, deleted when it goes; and what was said while it was away."""
    told: Told = []
    with run_nova(told) as url:
        options = {"nova.auth_url": url, "nova.username": "netloom", "nova.password": "secret"}
        extra = tuple(word for name, value in options.items() for word in ("--set", f"{name}={value}"))
        server = Server(tmp_path / "s", extra=extra)
        server.start()
        try:
            network = ask(server, "POST", "networks", network={"name": "n"})["network"]["id"]
            given = {
                "network_id": network,
                "device_id": SERVER_ID,
                "device_owner": "compute:nova",
                "binding:host_id": "h1",
            }
            with attached(server, "h1", wires=True):
                port = ask(server, "POST", "ports", port=given)["port"]
                wait_told(told, "network-vif-plugged")
                plugged = {"name": "network-vif-plugged", "server_uuid": SERVER_ID, "tag": port["id"]}
                assert told == [{**plugged, "status": "completed"}]
            ask(server, "PUT", f"ports/{port['id']}", port={"name": "x"})
            wait_told(told, "network-vif-plugged", "network-changed")
            server.kill()
            server.start()
            ask(server, "DELETE", f"ports/{port['id']}")
            wait_told(told, "network-vif-plugged", "network-changed", "network-vif-deleted")
        finally:
            server.stop()
