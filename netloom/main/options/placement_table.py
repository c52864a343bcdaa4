"""The options by which Placement is told what hosts have, with the names that Neutron's files have."""

from __future__ import annotations

from collections.abc import Sequence

from oslo_config import cfg

from netloom.main.options.nova_table import make_login_options

PLACEMENT: Sequence[cfg.Opt] = (
    cfg.StrOpt(
        "auth_type", default="password", choices=("password", "v3password", "noauth"),
        help="noauth: a Placement that asks for no login, at the URL in auth_section.",
    ),
    cfg.StrOpt("auth_section", default="", help="With noauth: where Placement is."),
    *make_login_options("Placement", "Placement is told nothing."),
)  # fmt: skip
TUNNELLED = cfg.StrOpt(
    "tunnelled_network_rp_name", default="rp_tunnelled",
    help="What the bandwidth of all tunnels of a host is called; the same on the server and its agents.",
)  # fmt: skip


def make_provider_options(device: str) -> Sequence[cfg.Opt]:
    """What a host tells of itself for guarantees; `device`: a bridge or a NIC."""
    inventory = "allocation_ratio, min_unit, max_unit, reserved, step_size"
    return (
        cfg.ListOpt(
            "resource_provider_bandwidths", default=[],
            help=f"{device}:egress:ingress, …: kbit/s that a {device} carries, for guarantees.",
        ),
        cfg.DictOpt(
            "resource_provider_hypervisors", default={},
            help=f"{device}:hypervisor, …: below which provider of Nova's a {device} is, where not the default one.",
        ),
        cfg.StrOpt(
            "resource_provider_default_hypervisor", default="",
            help="This host's hypervisor as Nova calls it; none: the machine's whole name.",
        ),
        cfg.DictOpt(
            "resource_provider_inventory_defaults", default=DEFAULTS,
            help=f"What Placement is told beside an amount of bandwidth: {inventory}.",
        ),
    )  # fmt: skip


DEFAULTS = {"allocation_ratio": "1.0", "min_unit": "1", "step_size": "1", "reserved": "0"}
PACKETS: Sequence[cfg.Opt] = (
    cfg.ListOpt(
        "resource_provider_packet_processing_without_direction", default=[],
        help="hypervisor:rate: thousands of packets a second that the switch forwards; no name: the default one.",
    ),
    cfg.ListOpt(
        "resource_provider_packet_processing_with_direction", default=[],
        help="hypervisor:egress:ingress: the same for each direction, of a switch in hardware; not beside the other.",
    ),
    cfg.DictOpt(
        "resource_provider_packet_processing_inventory_defaults", default=DEFAULTS,
        help="What Placement is told beside a packet rate, as with bandwidth.",
    ),
)  # fmt: skip
