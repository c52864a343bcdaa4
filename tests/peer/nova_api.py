"""A real Compute API from PyPI on loopback, with SQLite and no login, for its aggregates of hosts.

Whoever asks is an administrator. It has no hypervisors: those that it is to know are written into its database, as
nova-compute's first start does.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.server import free_port
from tests.peer.judges import install_into, plain_environment
from tests.peer.nova_run import REQUIREMENTS

START_S, STEP_S = 120.0, 240.0
CONFIG = """
[DEFAULT]
host = control
transport_url = fake:/
use_stderr = true
state_path = {folder}
[api_database]
connection = sqlite:///{folder}/api.db
[database]
connection = sqlite:///{folder}/one.db
[placement]
auth_type = admin_token
token = admin
endpoint = {placement}
[oslo_concurrency]
lock_path = {folder}/locks
[notifications]
notification_format = unversioned
"""
SERVE = """
import sys
from wsgiref.simple_server import make_server
port = int(sys.argv.pop())
from nova.wsgi.osapi_compute import application
who = {"HTTP_X_USER_ID": "admin", "HTTP_X_PROJECT_ID": "admin", "HTTP_X_ROLES": "admin"}
make_server("127.0.0.1", port, lambda environ, start: application(environ | who, start)).serve_forever()
"""
MAKE = """
import sys, uuid
from nova import config, context, objects
from nova.db import migration
folder, hosts = sys.argv[1], sys.argv[2:]
config.parse_args(["nova", "--config-file", f"{folder}/nova.conf"])
objects.register_all()
everywhere = context.get_admin_context()
migration.db_sync(database="api")
cells = []
for id, name in ((objects.CellMapping.CELL0_UUID, "cell0"), (str(uuid.uuid4()), "one")):
    path = f"sqlite:///{folder}/{name}.db"
    cells.append(objects.CellMapping(everywhere, uuid=id, name=name, database_connection=path, transport_url="fake:/"))
    cells[-1].create()
    with context.target_cell(everywhere, cells[-1]) as here:
        migration.db_sync(context=here)
for host in hosts:
    with context.target_cell(everywhere, cells[1]) as here:
        objects.Service(here, host=host, binary="nova-compute", topic="compute", report_count=1).create()
        objects.ComputeNode(
            here, uuid=str(uuid.uuid4()), host=host, hypervisor_hostname=host, vcpus=1, memory_mb=1, local_gb=1,
            vcpus_used=0, memory_mb_used=0, local_gb_used=0, hypervisor_type="fake", hypervisor_version=1,
            cpu_info="", mapped=1,
        ).create()
    objects.HostMapping(everywhere, host=host, cell_mapping=cells[1]).create()
"""


@dataclass
class Nova:
    """The service, with its state in `folder`, and the Placement that it tells of its hosts."""

    folder: Path
    placement: str
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v2.1"

    def make(self, *hosts: str) -> None:
        """Databases with a cell, and hypervisors in it as if nova-compute had begun there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "nova.conf").write_text(CONFIG.format(folder=self.folder, placement=self.placement))
        done = subprocess.run(
            [*self.command(MAKE), str(self.folder), *hosts], env=plain_environment(), cwd=self.folder,
            capture_output=True, text=True, timeout=STEP_S, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"Nova's databases are not made: {(done.stdout + done.stderr)[-3000:]}")

    def command(self, code: str) -> Sequence[str]:
        return [str(install_into("nova", REQUIREMENTS)), "-P", "-W", "ignore", "-c", code]

    def start(self) -> None:
        """Returns when it answers."""
        paste = (Path(self.command("")[0]).parents[1] / "etc" / "nova" / "api-paste.ini").read_text()
        (self.folder / "paste.ini").write_text(paste.replace(" authtoken ", " "))
        files = f"{self.folder / 'paste.ini'};{self.folder / 'nova.conf'}"
        environment = plain_environment(OS_NOVA_CONFIG_FILES=files)
        with (self.folder / "log").open("ab") as out:
            command = [*self.command(SERVE), str(self.port)]
            self.process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, cwd=self.folder)
        end = time.monotonic() + START_S
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"Nova does not start: {(self.folder / 'log').read_text()[-3000:]}")
            time.sleep(0.1)

    def answers(self) -> bool:
        try:
            self.list_aggregates()
        except (urllib.error.URLError, OSError):
            return False
        return True

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
            self.process.kill()
            self.process.wait()
            self.process = None

    def list_aggregates(self) -> dict[str, dict[str, Any]]:
        """By name."""
        headers = {"X-Auth-Token": "admin", "OpenStack-API-Version": "compute 2.41"}
        request = urllib.request.Request(f"{self.url}/os-aggregates", headers=headers)
        with urllib.request.urlopen(request, timeout=30) as reply:
            return {one["name"]: one for one in json.loads(reply.read())["aggregates"]}
