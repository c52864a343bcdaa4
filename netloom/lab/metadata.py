"""A metadata service to try with, in place of Nova's: it checks the signature as Nova does, and says what it was told.

    python -m netloom.lab.metadata --listen 10.99.0.254 --secret s3cret [--names lab.json]

Law: it believes nothing that is not signed with the shared secret.
"""

from __future__ import annotations

import argparse
import hmac
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PORT = 8775
MOST_BODY = 16 << 10
VERSIONS = ("1.0", "2009-04-04", "latest")
"""Of the EC2 way to ask; of OpenStack's own there is "openstack"."""


@dataclass(frozen=True, slots=True)
class Told:
    """Who asks, as the headers say."""

    instance: str
    project: str
    address: str
    name: str = ""

    @property
    def hostname(self) -> str:
        return self.name or f"host-{self.address.replace('.', '-').replace(':', '-')}"


def check_caller(headers: Mapping[str, str], secret: str, names: Mapping[str, str]) -> Told | None:
    """Who asks; None where the signature is not right."""
    instance = headers.get("x-instance-id", "")
    wanted = hmac.new(secret.encode(), instance.encode(), sha256).hexdigest()
    given = headers.get("x-instance-id-signature", "")
    if not instance or not headers.get("x-tenant-id") or not hmac.compare_digest(wanted, given):
        return None
    return Told(instance, headers["x-tenant-id"], headers.get("x-forwarded-for", ""), names.get(instance, ""))


def make_document(told: Told) -> dict[str, Any]:
    """OpenStack's meta_data.json, as far as there is something to say."""
    return {
        "uuid": told.instance,
        "name": told.hostname,
        "hostname": told.hostname,
        "project_id": told.project,
        "availability_zone": "nova",
        "launch_index": 0,
        "meta": {},
    }


def list_facts(told: Told) -> dict[str, str]:
    """What the EC2 way gives, by the last part of the path."""
    return {
        "instance-id": told.instance,
        "hostname": told.hostname,
        "local-hostname": told.hostname,
        "local-ipv4": told.address,
        "instance-type": "lab",
    }


def find_answer(path: str, told: Told) -> str | None:
    """The body for a path; None: there is no such thing."""
    parts = [part for part in path.partition("?")[0].split("/") if part]
    if not parts:
        return "\n".join((*VERSIONS, "openstack"))
    if parts[0] == "openstack":
        if len(parts) == 1:
            return "latest"
        return json.dumps(make_document(told)) if parts[2:] == ["meta_data.json"] else None
    if parts[0] not in VERSIONS:
        return None
    if len(parts) == 1:
        return "meta-data/"
    facts = list_facts(told)
    if parts[1:] == ["meta-data"]:
        return "\n".join(sorted(facts))
    return facts.get(parts[2]) if parts[1] == "meta-data" and len(parts) == 3 else None


@dataclass
class Service:
    """What the handler knows. `passwords`: by instance, what it posted."""

    secret: str
    names: Path | None = None
    passwords: dict[str, str] = field(default_factory=dict)

    def load_names(self) -> dict[str, str]:
        """Names of instances by their ids, from the lab's state."""
        if self.names is None or not self.names.exists():
            return {}
        instances = json.loads(self.names.read_text())["instances"]
        return {one["device_id"]: name for name, one in instances.items()}


def make_handler(service: Service) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """One request."""

        def do_GET(self) -> None:
            if (told := self.check()) is None:
                return
            if self.path == "/openstack/latest/password":
                self.answer(200, service.passwords.get(told.instance, ""))
                return
            found = find_answer(self.path, told)
            self.answer(404, "404 Not Found") if found is None else self.answer(200, found)

        def do_POST(self) -> None:
            """A password, set once, as Nova has it."""
            if (told := self.check()) is None:
                return
            length = min(int(self.headers.get("content-length") or 0), MOST_BODY)
            body = self.rfile.read(length).decode(errors="replace")
            if self.path != "/openstack/latest/password" or service.passwords.setdefault(told.instance, body) != body:
                self.answer(409, "it is set")
                return
            self.answer(200, "")

        def check(self) -> Told | None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            told = check_caller(headers, service.secret, service.load_names())
            if told is None:
                self.answer(403, "Invalid proxy request signature.")
            return told

        def answer(self, status: int, body: str) -> None:
            data = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json" if body.startswith("{") else "text/plain")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


class Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listen: str, port: int, service: Service) -> None:
        self.address_family = socket.AF_INET6 if ":" in listen else socket.AF_INET
        super().__init__((listen, port), make_handler(service))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--listen", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--secret", default=os.environ.get("METADATA_SECRET", ""))
    parser.add_argument("--names", type=Path)
    given = parser.parse_args()
    Listener(given.listen, given.port, Service(given.secret, given.names)).serve_forever()


if __name__ == "__main__":
    main()
