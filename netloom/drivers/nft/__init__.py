"""nft: the kind "guard". A device whose frames a switch takes is closed to the host's kernel, which is silent on it.

Law: a guard is a chain of ours, hooked to its device at ingress, whose policy is to drop; nothing else is in our table,
so what is ours is the table. Read as text: nft 1.0.6 leaves the device out of its JSON, and a chain that lost its
device (on some kernels it stays in the table) guards nothing. The switch reads by AF_PACKET, before ingress.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from netloom.drivers.nft.silence import is_silent, set_silent
from netloom.model.device import Guard
from netloom.model.plan import Failure, Key, Op, Put, State, Thing

TABLE = "netloom_guard"
_PREFIX = "in-"
_CHAIN = re.compile(r"^\s*chain (\S+) \{\s*\n\s*type filter hook ingress (.*?)priority", re.MULTILINE)
_TABLE: dict[str, Any] = {"family": "netdev", "name": TABLE}

Command = dict[str, Any]


class NftError(OSError):
    """What nft complained of."""


def read_guards(text: str) -> State:
    """The guards in the text of our table. A chain that is hooked to nothing has the value None: it wants repair."""
    out: dict[Key, Thing] = {}
    for name, hooked in _CHAIN.findall(text):
        if name.startswith(_PREFIX):
            device = name.removeprefix(_PREFIX)
            key: Key = ("guard", device)
            out[key] = Thing(key, Guard() if f'"{device}"' in hooked else None)
    return out


def _chain(device: str) -> dict[str, Any]:
    return {"family": "netdev", "table": TABLE, "name": _PREFIX + device}


def render_commands(op: Op) -> list[Command]:
    """The nft commands of one op. A chain is added before it is deleted, for deleting what is not there is an error."""
    device = op.thing.key[1]
    hook = {"type": "filter", "hook": "ingress", "prio": 0, "dev": device, "policy": "drop"}
    full = {"add": {"chain": _chain(device) | hook}}
    bare = {"add": {"chain": _chain(device)}}
    delete = {"delete": {"chain": _chain(device)}}
    return [bare, delete, full] if isinstance(op, Put) else [bare, delete]


async def run_nft(arguments: Sequence[str], given: str = "") -> str:
    """What nft prints. NftError with its complaint."""
    try:
        process = await asyncio.create_subprocess_exec(
            "nft", *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    except OSError as error:
        raise NftError(f"nft does not start: {error.strerror}") from error
    out, complaint = await process.communicate(given.encode())
    if process.returncode:
        lines = [line for line in complaint.decode(errors="replace").splitlines() if line.strip()]
        raise NftError(lines[0] if lines else f"nft ended with {process.returncode}")
    return out.decode()


def silence_devices(ops: Sequence[Op]) -> None:
    """NftError names the device whose setting the kernel refused."""
    for op in ops:
        try:
            set_silent(op.thing.key[1], isinstance(op, Put))
        except FileNotFoundError:
            pass  # the device went meanwhile
        except OSError as error:
            raise NftError(f"{op.thing.key[1]}: IPv6 cannot be switched: {error.strerror}") from error


class NftDriver:
    """Guards in the network namespace that the agent runs in. One nft process for each read and each apply."""

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset({"guard"})

    @property
    def needs(self) -> Mapping[str, frozenset[str]]:
        return {}

    async def read(self) -> State:
        """Our chains. NftError when nft does not work."""
        if f"table netdev {TABLE}" not in await run_nft(["list", "tables", "netdev"]):
            return {}
        found = read_guards(await run_nft(["list", "table", "netdev", TABLE]))
        return {key: thing if is_silent(key[1]) else replace(thing, value=None) for key, thing in found.items()}

    async def look(self) -> State:
        return await self.read()

    async def apply(self, ops: Sequence[Op]) -> Sequence[Failure]:
        """All ops in one transaction; if nft refuses it, each in its own."""
        if not ops:
            return []
        try:
            await self._commit(ops)
            return []
        except NftError:
            return [failure for op in ops if (failure := await self._apply_one(op))]

    async def _apply_one(self, op: Op) -> Failure | None:
        try:
            await self._commit([op])
            return None
        except NftError as error:
            return Failure(op, str(error))

    async def _commit(self, ops: Sequence[Op]) -> None:
        commands = [{"add": {"table": _TABLE}}, *(command for op in ops for command in render_commands(op))]
        await run_nft(["-j", "-f", "-"], json.dumps({"nftables": commands}))
        await asyncio.to_thread(silence_devices, ops)  # the kernel may take ten milliseconds over each

    async def close(self) -> None:
        """Nothing is held."""


def make_driver(options: Mapping[str, str]) -> NftDriver:
    """The driver; it has no options."""
    return NftDriver()
