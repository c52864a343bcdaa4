"""Section [placement]: how the server tells Placement what hosts have. Names are those of neutron.conf."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from netloom.main.options import checks
from netloom.main.options.checks import OptionError
from netloom.main.options.nova import make_login, make_verify
from netloom.main.options.reading import Read
from netloom.notify.placement import PlacementSettings


@dataclass(frozen=True, slots=True)
class PlacementOptions:
    """How Placement is told. `verify` is httpx's."""

    settings: PlacementSettings
    verify: ssl.SSLContext | bool = True


def make_placement(read: Read) -> PlacementOptions | None:
    """None: it is told nothing. Raises OptionError."""
    tunnelled = read.value("ml2", "tunnelled_network_rp_name")
    if read.value("placement", "auth_type") == "noauth":
        url = checks.parse_url(read.given("placement", "auth_section"), read.value("placement", "auth_section"))
        if not url:
            raise OptionError("[placement] auth_section", "", "with auth_type noauth it is where Placement is")
        return PlacementOptions(PlacementSettings(None, url, tunnelled), make_verify(read, "placement"))
    if not read.value("placement", "auth_url"):
        return None
    login = make_login(read, "placement")
    return PlacementOptions(PlacementSettings(login, tunnelled=tunnelled), make_verify(read, "placement"))
