"""tc: the kind "shape". What leaves a device is held to rates by a hierarchical token bucket (tc-htb(8)).

Law: a shape is a root queue of ours, told by its handle; all that is below it is ours, and is read back whole, so a
rate that somebody changed is seen. A change is made by putting a new queue in the place of the old one at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from netloom.drivers.tc.words import HANDLE, find_shaped, parse_shape, render_commands
from netloom.model.plan import Failure, Key, Op, State, Thing

NAMESPACES = Path("/run/netns")
SHAPED = ("qrouter-", "snat-", "fip-")
"""How the namespaces begin that may have shapes: those of routers."""


class TcError(OSError):
    """What tc complained of."""


async def run_tc(space: Path | None, arguments: Sequence[str], given: str = "") -> str:
    """What tc prints, in the network namespace at `space`. TcError with its complaint."""
    enter = ("nsenter", f"--net={space}") if space else ()
    try:
        process = await asyncio.create_subprocess_exec(
            *enter, "tc", *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    except OSError as error:
        raise TcError(f"tc does not start: {error.strerror}") from error
    out, complaint = await process.communicate(given.encode())
    if process.returncode:
        lines = [line for line in complaint.decode(errors="replace").splitlines() if line.strip()]
        raise TcError(lines[0] if lines else f"tc ended with {process.returncode}")
    return out.decode()


class TcDriver:
    """Shapes of devices in the namespace that the agent runs in, and in those of routers below `namespaces`."""

    def __init__(self, namespaces: Path = NAMESPACES) -> None:
        self._namespaces = namespaces

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset({"shape"})

    @property
    def needs(self) -> Mapping[str, frozenset[str]]:
        return {}

    @property
    def after(self) -> Mapping[str, frozenset[str]]:
        """A router's devices come before their queues, and ports too: Open vSwitch clears the queue of one it opens."""
        return {"shape": frozenset({"veth", "switch_port"})}

    async def read(self) -> State:
        """Our queues in each namespace."""
        out: dict[Key, Thing] = {}
        for space in ("", *self._find_spaces()):
            try:
                out |= await self._read_space(space)
            except TcError:
                if not space:
                    raise  # else the namespace is gone, and what was in it
        return out

    async def look(self) -> State:
        return await self.read()

    async def _read_space(self, space: str) -> dict[Key, Thing]:
        at, out = self._at(space), dict[Key, Thing]()
        for device in find_shaped(await run_tc(at, ["qdisc", "show"])):
            classes = await run_tc(at, ["class", "show", "dev", device])
            filters = await run_tc(at, ["filter", "show", "dev", device, "parent", HANDLE])
            key: Key = ("shape", space, device)
            out[key] = Thing(key, parse_shape(classes, filters))
        return out

    def _find_spaces(self) -> list[str]:
        try:
            return sorted(path.name for path in self._namespaces.iterdir() if path.name.startswith(SHAPED))
        except FileNotFoundError:
            return []

    def _at(self, space: str) -> Path | None:
        return self._namespaces / space if space else None

    async def apply(self, ops: Sequence[Op]) -> Sequence[Failure]:
        """Each op in a batch of its own; one for a device that is not there is refused, or done if it is to go."""
        return [failure for op in ops if (failure := await self._apply_one(op))]

    async def _apply_one(self, op: Op) -> Failure | None:
        _, space, device = op.thing.key
        try:
            for lines, may_fail in render_commands(device, op):
                try:
                    await run_tc(self._at(space), ["-batch", "-"], lines)
                except TcError:
                    if not may_fail:
                        raise
            return None
        except TcError as error:
            return Failure(op, str(error))

    async def close(self) -> None:
        """Nothing is held."""


def make_driver(options: Mapping[str, str]) -> TcDriver:
    """The driver from options: netns_path, the folder with the namespaces' names."""
    return TcDriver(Path(options.get("netns_path", NAMESPACES)))
