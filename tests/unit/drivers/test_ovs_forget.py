"""The switch is asked to work out its flows anew, where its control socket is; without one nothing happens."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from netloom.drivers.ovs.forget import find_control, forget_flows


async def serve(path: Path, heard: list[str]) -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(json.loads(await reader.readuntil(b"}"))["method"])
        writer.write(b'{"error":null,"id":0,"result":""}')
        await writer.drain()
        writer.close()

    return await asyncio.start_unix_server(answer, path)


def test_the_running_switch_is_asked(tmp_path: Path) -> None:
    """By the socket that is there by default, named after the process."""
    heard: list[str] = []
    (tmp_path / "ovs-vswitchd.pid").write_text(f"{os.getpid()}\n")

    async def ask() -> None:
        async with await serve(tmp_path / f"ovs-vswitchd.{os.getpid()}.ctl", heard):
            await forget_flows(tmp_path, 5)

    asyncio.run(ask())
    assert heard == ["revalidator/purge"]


def test_a_socket_that_its_command_names_is_taken(tmp_path: Path) -> None:
    """A switch may have been started with another one."""
    program = [sys.executable, "-c", "print(flush=True); input()", "--unixctl=/run/other.ctl"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as switch:
        assert switch.stdout is not None and switch.stdout.readline()  # by now it is what it was started as
        (tmp_path / "ovs-vswitchd.pid").write_text(str(switch.pid))
        assert find_control(tmp_path) == Path("/run/other.ctl")
        switch.kill()


@pytest.mark.parametrize("pid", [None, "no number", "999999999"])
def test_a_switch_that_is_away_is_left_alone(tmp_path: Path, pid: str | None) -> None:
    """Nothing is raised: what was asked of it went well before."""
    if pid is not None:
        (tmp_path / "ovs-vswitchd.pid").write_text(pid)
    asyncio.run(forget_flows(tmp_path, 1))
