"""A host whose instances have a bridge of their own before the switch, as Nova plugs for iptables_hybrid."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import run
from tests.dataplane.rig import Instance, Rig, batch, make_rig


def why_not_hybrid() -> str:
    missing = [tool for tool in ("iptables-save", "ip6tables-save", "ipset") if shutil.which(tool) is None]
    return why_not() or (f"needs {', '.join(missing)}" if missing else "")


class HybridRig(Rig):
    """A host with Open vSwitch and iptables."""

    def start_agent(self) -> None:
        super().start_agent()
        self.wait_log("following")

    def cable(self, ports: Sequence[Mapping[str, Any]], netns: str, first: int = 0) -> list[Instance]:
        """The instance's tap and one end of a pair on a bridge of their own, the pair's other end for the switch."""
        made, lines, ends = [], [], []
        for n, port in enumerate(ports, first):
            short, device, here = port["id"][:11], f"e{n}", self.host.netns
            ip = port["fixed_ips"][0]["ip_address"]
            made.append(Instance(port["id"], f"qvo{short}", netns, device, port["mac_address"], ip))
            lines += [
                f"link add qbr{short} netns {here} up type bridge mcast_snooping 0",
                f"link add tap{short} netns {here} up type veth peer name {device} netns {netns} "
                f"address {port['mac_address']}",
                f"link add qvb{short} netns {here} up type veth peer name qvo{short} netns {here}",
            ]
            ends += [f"link set {kind}{short} master qbr{short} up" for kind in ("tap", "qvb")]
            ends += [f"link set qvo{short} up"]
        batch("".join(f"{line}\n" for line in lines))
        batch("".join(f"{line}\n" for line in ends), self.host.netns)
        batch("".join(f"link set {one.device} up\n" for one in made), netns)
        return made


@contextmanager
def make_hybrid_rig() -> Iterator[HybridRig]:
    """A server, and a joined host h1 with firewall_driver = iptables_hybrid; no agent runs yet."""
    with make_rig() as plain:
        run("ip", "netns", "exec", plain.host.netns, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        rig = HybridRig(plain.host, plain.folder, plain.server, plain.rundir)
        rig.extra = {"securitygroup.firewall_driver": "iptables_hybrid"}
        try:
            yield rig
        finally:
            rig.stop_agent()
