"""The switch is asked to work out its flows anew, where its control socket is; without one nothing happens."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from netloom.drivers.ovs.forget import Forgetter, ask_switch, find_control, has_userspace

LOOK = ["revalidator/wait", "revalidator/purge"]


class Switch:
    """What unixctl of a switch hears. It answers nobody until it `goes_on`; `left`: nobody is connected."""

    def __init__(self, refused: str = "") -> None:
        self.heard: list[str] = []
        self.goes_on, self.left = asyncio.Event(), asyncio.Event()
        self._refused = refused

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.left.clear()
        while data := await read_call(reader):
            self.heard.append(json.loads(data)["method"])
            await self.goes_on.wait()
            error = "no" if self.heard[-1] == self._refused else None
            writer.write(json.dumps({"error": error, "id": 0, "result": ""}).encode())
            await writer.drain()
        writer.close()
        await writer.wait_closed()
        self.left.set()


async def read_call(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"}")
    except asyncio.IncompleteReadError:
        return b""


def run_beside(rundir: Path, switch: Callable[[], Switch], use: Callable[[Switch], Awaitable[None]]) -> list[str]:
    """What the switch was asked while `use` ran."""

    async def whole() -> list[str]:
        made = switch()
        (rundir / "ovs-vswitchd.pid").write_text(f"{os.getpid()}\n")
        async with await asyncio.start_unix_server(made.answer, rundir / f"ovs-vswitchd.{os.getpid()}.ctl"):
            await use(made)
            async with asyncio.timeout(30):
                await made.left.wait()
        return made.heard

    return asyncio.run(whole())


async def wait_heard(switch: Switch, count: int) -> None:
    async with asyncio.timeout(30):
        while len(switch.heard) < count:
            await asyncio.sleep(0)


def test_the_running_switch_is_asked(tmp_path: Path) -> None:
    """By the socket that is there by default, named after the process."""

    async def ask(switch: Switch) -> None:
        switch.goes_on.set()
        await ask_switch(tmp_path, 30, *LOOK)

    assert run_beside(tmp_path, Switch, ask) == LOOK


def test_a_switch_that_cannot_wait_forgets_all_the_same(tmp_path: Path) -> None:
    """One with two kinds of datapath refuses to."""

    async def ask(switch: Switch) -> None:
        switch.goes_on.set()
        await ask_switch(tmp_path, 30, *LOOK)

    assert run_beside(tmp_path, lambda: Switch("revalidator/wait"), ask) == LOOK


def test_what_a_change_left_is_forgotten_after_two_looks(tmp_path: Path) -> None:
    """Whoever changed the tables does not wait for it, and then the switch is left alone."""

    async def change(switch: Switch) -> None:
        forgetter = Forgetter(tmp_path, 30, 0)
        forgetter.note_change()
        assert switch.heard == []
        switch.goes_on.set()
        await wait_heard(switch, 4)
        await forgetter.close()

    assert run_beside(tmp_path, Switch, change)[:4] == LOOK * 2


def test_changes_while_the_switch_looks_are_one(tmp_path: Path) -> None:
    """However many there are, two more looks are enough."""

    async def change(switch: Switch) -> None:
        forgetter = Forgetter(tmp_path, 30, 0)
        forgetter.note_change()
        await wait_heard(switch, 1)
        for _ in range(100):
            forgetter.note_change()
        switch.goes_on.set()
        await wait_heard(switch, 6)
        for _ in range(100):  # more of it would come now
            await asyncio.sleep(0)
        await forgetter.close()

    assert run_beside(tmp_path, Switch, change)[:6] == LOOK * 3


def test_an_agent_that_ends_leaves_nothing_behind(tmp_path: Path) -> None:
    """What is still to be forgotten is so before it goes, and nothing is where nothing was changed."""

    async def end(switch: Switch) -> None:
        forgetter = Forgetter(tmp_path, 30, 3600)
        await forgetter.close()
        assert switch.heard == []
        switch.goes_on.set()
        forgetter.note_change()
        await wait_heard(switch, 2)
        await forgetter.close()

    assert run_beside(tmp_path, Switch, end) == [*LOOK, "revalidator/purge"]


def test_a_socket_that_its_command_names_is_taken(tmp_path: Path) -> None:
    """A switch may have been started with another one."""
    program = [sys.executable, "-c", "print(flush=True); input()", "--unixctl=/run/other.ctl"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as switch:
        assert switch.stdout is not None and switch.stdout.readline()  # by now it is what it was started as
        (tmp_path / "ovs-vswitchd.pid").write_text(str(switch.pid))
        assert find_control(tmp_path) == Path("/run/other.ctl")
        switch.kill()


def test_a_switch_in_another_container_is_found(tmp_path: Path) -> None:
    """Its folder is shared, its process is not seen: the socket is where it is by default."""
    (tmp_path / "ovs-vswitchd.pid").write_text("999999999")
    assert find_control(tmp_path) == tmp_path / "ovs-vswitchd.999999999.ctl"


@pytest.mark.parametrize("pid", [None, "no number", "999999999"])
def test_a_switch_that_is_away_is_left_alone(tmp_path: Path, pid: str | None) -> None:
    """What was changed went well before, so nothing is raised; who asks to be sure is told that nobody answers."""
    if pid is not None:
        (tmp_path / "ovs-vswitchd.pid").write_text(pid)
    with pytest.raises(OSError, match="does not answer revalidator/purge"):
        asyncio.run(ask_switch(tmp_path, 1, "revalidator/purge"))

    async def change() -> None:
        forgetter = Forgetter(tmp_path, 1, 0)
        forgetter.note_change()
        await forgetter.close()

    asyncio.run(change())


@pytest.mark.parametrize(("kinds", "expected"), [((), False), (("system", ""), False), (("system", "netdev"), True)])
def test_the_kernel_s_datapath_is_left_alone(kinds: tuple[str, ...], expected: bool) -> None:
    """It looks for its flows by their ids."""
    assert has_userspace({"Bridge": {f"u{n}": {"datapath_type": kind} for n, kind in enumerate(kinds)}}) is expected
