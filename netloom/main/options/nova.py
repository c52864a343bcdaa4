"""Section [nova] and what goes with it: whom Netloom tells of instances' ports. Names are those of neutron.conf."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from netloom.main.options import checks
from netloom.main.options.checks import OptionError
from netloom.main.options.reading import Read
from netloom.notify.events import Interest
from netloom.notify.nova import NovaSettings


@dataclass(frozen=True, slots=True)
class NovaOptions:
    """How Nova is told, and of what. `verify` is httpx's."""

    settings: NovaSettings
    interest: Interest
    verify: ssl.SSLContext | bool = True


def make_nova(read: Read) -> NovaOptions | None:
    """None: nobody is to be told. Raises OptionError."""
    if not read.value("nova", "auth_url"):
        return None
    for name in ("username", "password"):
        if not read.value("nova", name):
            raise OptionError(f"[nova] {name}", "", "auth_url is given, so it is needed")
    names = ("username", "password", "project_name", "user_domain_name", "project_domain_name", "region_name",
             "endpoint_type")  # fmt: skip
    settings = NovaSettings(
        auth_url=checks.parse_url(read.given("nova", "auth_url"), read.value("nova", "auth_url")),
        endpoint=checks.parse_url(read.given("nova", "endpoint_override"), read.value("nova", "endpoint_override")),
        **{name: read.value("nova", name) for name in names},
    )
    interest = Interest(
        read.value("DEFAULT", "notify_nova_on_port_status_changes"),
        read.value("DEFAULT", "notify_nova_on_port_data_changes"),
    )
    return NovaOptions(settings, interest, make_verify(read))


def make_verify(read: Read) -> ssl.SSLContext | bool:
    cafile = read.value("nova", "cafile")
    if read.value("nova", "insecure") or not cafile:
        return not read.value("nova", "insecure")
    checks.parse_file(read.given("nova", "cafile"), cafile)
    return ssl.create_default_context(cafile=cafile)
