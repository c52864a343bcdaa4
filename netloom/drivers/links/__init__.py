"""Network devices: the kind "link", and the few netlink calls that whoever plugs instances needs.

Law: a device belongs to whoever made it; what is ours is what we set on it. The device's alias says what that is
("netloom:up,mtu,mac", after whatever alias it had), so a restart finds it, and removing takes the words off and the
device is left as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from netloom.model.device import Link
from netloom.model.plan import Failure, Key, Op, Put, State, Thing

_MARK = "netloom:"
_IFF_UP = 1
WORDS = {"mtu": "mtu", "address": "mac"}
"""What netlink calls a setting, and the word of it that stands in the alias."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device as netlink shows it."""

    index: int
    name: str
    up: bool
    mtu: int
    alias: str = ""
    mac: str = ""


def split_alias(alias: str) -> tuple[str, str | None]:
    """(the operator's part, ours or None)."""
    rest, mark, ours = alias.rpartition(_MARK)
    return (rest.rstrip(), ours) if mark else (alias, None)


def join_alias(rest: str, ours: str) -> str:
    return f"{rest} {_MARK}{ours}".strip()


def read_link(device: Device) -> Link | None:
    """What we set on a device, as it is now; None when we set nothing."""
    ours = split_alias(device.alias)[1]
    if ours is None:
        return None
    words = ours.split(",")
    return Link(device.up, device.mtu if "mtu" in words else None, device.mac if "mac" in words else None)


def plan_link(device: Device, want: Link) -> dict[str, Any]:
    """The netlink attributes that make the device so and mark it."""
    given = {name: value for name, value in (("mtu", want.mtu), ("address", want.mac)) if value is not None}
    words = ",".join(("up", *(WORDS[name] for name in given)))
    alias = join_alias(split_alias(device.alias)[0], words)
    return {"ifalias": alias, "state": "up" if want.up else "down", **given}


def _read_device(message: Any) -> Device:
    alias, flags = message.get("ifalias") or "", int(message.get("flags") or 0)
    mac = (message.get("address") or "").lower()
    mtu = int(message.get("mtu") or 0)
    return Device(message["index"], message.get("ifname"), bool(flags & _IFF_UP), mtu, alias, mac)


async def read_devices(ipr: Any) -> dict[str, Device]:
    """The devices of the namespace by name."""
    found = [_read_device(message) async for message in await ipr.get_links()]
    return {device.name: device for device in found}


class LinksDriver:
    """Settings of devices in the network namespace that the agent runs in."""

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset({"link"})

    @property
    def needs(self) -> Mapping[str, frozenset[str]]:
        return {"link": frozenset({"bridge", "switch_port"})}

    async def read(self) -> State:
        """The devices that carry our words, with what they say."""
        async with AsyncIPRoute() as ipr:
            devices = await read_devices(ipr)
        out: dict[Key, Thing] = {}
        for name, device in devices.items():
            if link := read_link(device):
                key: Key = ("link", name)
                out[key] = Thing(key, link)
        return out

    async def look(self) -> State:
        return await self.read()

    async def apply(self, ops: Sequence[Op]) -> Sequence[Failure]:
        """Each op in its own call; a device that is not there fails a Put and satisfies a Remove."""
        if not ops:
            return []
        async with AsyncIPRoute() as ipr:
            devices = await read_devices(ipr)
            return [failure for op in ops if (failure := await _apply_one(ipr, op, devices.get(op.thing.key[1])))]

    async def close(self) -> None:
        """Nothing is held."""


async def _apply_one(ipr: Any, op: Op, device: Device | None) -> Failure | None:
    if device is None:
        return Failure(op, f"there is no device {op.thing.key[1]}") if isinstance(op, Put) else None
    try:
        if isinstance(op, Put):
            await ipr.link("set", index=device.index, **plan_link(device, op.thing.value))
        elif split_alias(device.alias)[1] is not None:
            await ipr.link("set", index=device.index, ifalias=split_alias(device.alias)[0])
        return None
    except NetlinkError as error:
        return Failure(op, str(error.args[1] if len(error.args) > 1 else error))


async def make_veth(name: str, peer: str, peer_netns: str | None = None) -> None:
    """A pair of devices, up; the peer in another namespace when named. A pair of that name that is there stays."""
    async with AsyncIPRoute() as ipr:
        other: dict[str, Any] = {"ifname": peer} | ({"net_ns_fd": peer_netns} if peer_netns else {})
        if name not in await read_devices(ipr):
            await ipr.link("add", ifname=name, kind="veth", peer=other)
        await ipr.link("set", index=(await read_devices(ipr))[name].index, state="up")


async def remove_link(name: str) -> None:
    """No device of that name."""
    async with AsyncIPRoute() as ipr:
        if device := (await read_devices(ipr)).get(name):
            with suppress(NetlinkError):  # its other end may have taken it along
                await ipr.link("del", index=device.index)


def make_driver(options: Mapping[str, str]) -> LinksDriver:
    """The driver; it has no options."""
    return LinksDriver()
