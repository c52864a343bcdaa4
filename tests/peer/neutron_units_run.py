"""Neutron's own unit tests of its API as a judge: `python -m tests.peer.neutron_units_run [module …]`. Some minutes.

Neutron (PyPI) has an environment of its own below build/. Its tests ask Netloom's API, in memory, what they would ask
Neutron's (see `neutron_units_driver.py`); what they find out by looking inside is left. Status 1 if a test failed that
`neutron_units_left_out.txt` does not give a reason for. The results are in build/neutron-units.jsonl as they come.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.faults.server import free_port
from tests.peer import judges, reasons

REQUIREMENTS = (
    "neutron==29.0.0", "neutron-lib==5.0.1", "ddt", "fixtures", "oslotest", "testresources", "testscenarios",
    "testtools", "webtest",
)  # fmt: skip
EXTENSIONS = (
    "address_group address_scope data_plane_status default_subnetpools dns external_net extra_dhcp_opt extraroute "
    "flavors l3 l3_ndp_proxy local_ip network_ip_availability network_ip_availability_details network_segment_range "
    "port_device_profile port_hardware_offload_type port_hints port_numa_affinity_policy "
    "port_numa_affinity_policy_socket port_trusted_vif portsecurity providernet qos_fip qos_gateway_ip "
    "router_availability_zone security_groups_default_rules security_groups_normalized_cidr securitygroup segment "
    "subnet_dns_publish_fixed_ip subnet_onboard subnet_service_types subnetpool_prefix_ops tagging "
    "uplink_status_propagation uplink_status_propagation_updatable vlantransparent"
)
MODULES = (
    "plugins.ml2.test_plugin", *(f"extensions.test_{name}" for name in EXTENSIONS.split()),
    "db.test_allowedaddresspairs_db", "db.test_ipam_backend_mixin", "plugins.ml2.test_port_binding",
)  # fmt: skip
RESULTS = judges.ROOT / "build" / "neutron-units.jsonl"
LEFT_OUT = Path(__file__).with_name("neutron_units_left_out.txt")
"""Tests that fail, and why that is right."""
START_S = 60.0
FEWEST = 1000
"""Fewer that pass: the judge itself is broken."""


@contextmanager
def serving() -> Iterator[int]:
    """Netloom's API in memory; its port."""
    port = free_port()
    command = [sys.executable, "-m", "tests.peer.neutron_units_app", str(port)]
    process = subprocess.Popen(command, cwd=judges.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_answers(port)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def wait_answers(port: int) -> None:
    """Raises ConnectionError when nobody listens within START_S."""
    end = time.monotonic() + START_S
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def run_tests(python: Path, modules: Sequence[str]) -> list[dict[str, str]]:
    driver = Path(__file__).with_name("neutron_units_driver.py")
    with serving() as port, RESULTS.open("w") as out:
        done = subprocess.run(
            [str(python), "-P", "-W", "ignore", str(driver), str(port), *modules],
            env=judges.plain_environment(), stdout=out, stderr=subprocess.PIPE, text=True, timeout=3600, check=False,
        )  # fmt: skip
    found = [json.loads(line) for line in RESULTS.read_text().splitlines() if line.startswith("{")]
    if done.returncode:
        found.append({"id": "the run itself", "word": "failure", "text": done.stderr[-2000:]})
    return found


def run(modules: Sequence[str] = ()) -> tuple[list[str], bool]:
    """The report's lines, and whether nothing failed."""
    python, began = judges.install_into("neutron-units", REQUIREMENTS), time.monotonic()
    results = run_tests(python, modules or MODULES)
    return reasons.judge(results, time.monotonic() - began, LEFT_OUT, 0 if modules else FEWEST)


def main(modules: Sequence[str]) -> int:
    report, good = run(modules)
    print("\n".join(report))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
