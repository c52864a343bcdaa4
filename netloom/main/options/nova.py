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
    interest = Interest(
        read.value("DEFAULT", "notify_nova_on_port_status_changes"),
        read.value("DEFAULT", "notify_nova_on_port_data_changes"),
    )
    return NovaOptions(make_login(read, "nova"), interest, make_verify(read, "nova"))


def make_login(read: Read, group: str) -> NovaSettings:
    """How the service of a section is found through Keystone. Raises OptionError."""
    for name in ("username", "password"):
        if not read.value(group, name):
            raise OptionError(f"[{group}] {name}", "", "auth_url is given, so it is needed")
    names = ("username", "password", "project_name", "user_domain_name", "project_domain_name", "region_name",
             "endpoint_type")  # fmt: skip
    return NovaSettings(
        auth_url=checks.parse_url(read.given(group, "auth_url"), read.value(group, "auth_url")),
        endpoint=checks.parse_url(read.given(group, "endpoint_override"), read.value(group, "endpoint_override")),
        **{name: read.value(group, name) for name in names},
    )


def make_verify(read: Read, group: str) -> ssl.SSLContext | bool:
    cafile = read.value(group, "cafile")
    if read.value(group, "insecure") or not cafile:
        return not read.value(group, "insecure")
    checks.parse_file(read.given(group, "cafile"), cafile)
    return ssl.create_default_context(cafile=cafile)
