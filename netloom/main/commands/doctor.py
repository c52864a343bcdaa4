"""`netloom doctor`: reads what was asked, and composes what is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from netloom.feed.dial import split_addresses
from netloom.main.doctor.agent import Host, find_needs, make_agent_checks, read_switch
from netloom.main.doctor.clocks import find_apis
from netloom.main.doctor.findings import ERROR, Check, Finding, run_checks
from netloom.main.doctor.machine import Machine, read_machine
from netloom.main.doctor.relay import make_relay_checks
from netloom.main.doctor.server import make_server_checks
from netloom.main.hosts.papers import Papers
from netloom.main.options.checks import OptionError
from netloom.main.options.host import load_host_options
from netloom.main.options.host_checks import read_devices
from netloom.main.options.reading import Read, find_state_path, read_options
from netloom.main.options.relay import load_relay_options
from netloom.main.options.server import load_server_options


def look(files: Sequence[Path], given: Mapping[str, str], parts: Sequence[str] = ()) -> list[Finding]:
    """Of these parts; without any, of those that this machine has by the options and files that there are."""
    try:
        parts = parts or find_parts(files, given)
        machine = read_machine()
        checks: list[tuple[str, Check]] = []
        for part in parts:
            checks += MAKERS[part](files, given, machine)
    except OptionError as error:
        return [Finding("options", ERROR, str(error), "mend it: nothing starts with it; netloom options lists them")]
    return run_checks(checks)


def find_parts(files: Sequence[Path], given: Mapping[str, str]) -> tuple[str, ...]:
    """A host has joined or names its server; a relay is told that it is one; all else is a server, or is to be one."""
    read = read_options(files, given)
    if read.value("netloom", "role") == "relay":
        return ("relay",)
    state = find_state_path(read)
    host = bool(read.value("netloom", "feed_server")) or Papers(find_state_path(read, "agent")).whole
    server = (state / "feed").exists() or bool(read.value("database", "connection"))
    return tuple(part for part, there in (("server", server or not host), ("agent", host)) if there)


def make_server(files: Sequence[Path], given: Mapping[str, str], machine: Machine) -> list[tuple[str, Check]]:
    return make_server_checks(load_server_options(files, given), machine)


def make_host(files: Sequence[Path], given: Mapping[str, str], machine: Machine) -> list[tuple[str, Check]]:
    options, read = load_host_options(files, given), read_options(files, given)
    version, bridges = read_switch(options.ovs_rundir)
    dnsmasq = read.value("DEFAULT", "dhcp_driver") != "distributed"
    host = Host(
        options,
        machine,
        replace(read_devices(), bridges=bridges),
        version,
        read.value("ml2", "path_mtu") or read.value("DEFAULT", "global_physnet_mtu"),
        find_needs(options, dnsmasq, bool(read.value("DEFAULT", "l3_ha"))),
        find_servers(split_addresses(options.feed_server), read),
    )
    return make_agent_checks(host)


def make_relay(files: Sequence[Path], given: Mapping[str, str], machine: Machine) -> list[tuple[str, Check]]:
    options = load_relay_options(files, given)
    return make_relay_checks(options, machine, find_servers(options.upstream, read_options(files, given)))


def find_servers(addresses: Sequence[str], read: Read) -> tuple[str, ...]:
    """Where the API is asked by who knows where servers serve hosts, as far as these options say the same as theirs."""
    port, tls = read.value("DEFAULT", "bind_port"), read.value("DEFAULT", "use_ssl")
    return tuple(find_apis(addresses, port, tls))


MAKERS = {"server": make_server, "agent": make_host, "relay": make_relay}
