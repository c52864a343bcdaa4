from __future__ import annotations

import asyncio
import sys
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from netloom.model.driver import Driver
from netloom.model.plan import Thing
from netloom.reconcile.plan import plan
from netloom.testing.conformance import CHECKS, Check, Subject

EXAMPLE = Path(__file__).parents[3] / "examples" / "driver"


def _load() -> ModuleType:
    spec = spec_from_file_location("hosts_file", EXAMPLE / "hosts_file.py")
    assert spec and spec.loader
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_entry_point_names_the_function() -> None:
    """Whoever installs the example gets a driver by its name."""
    points = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"]["netloom.drivers"]
    module, _, function = points["hosts_file"].partition(":")
    assert module == "hosts_file" and callable(getattr(_load(), function))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_example_driver_conforms(tmp_path: Path, check: Check) -> None:
    """The driver that others copy keeps every promise, in a file that has an operator's lines too."""
    module, path = _load(), tmp_path / "hosts"
    path.write_text("127.0.0.1 localhost\n# 10.0.0.9 mine # netloom\n::1 ip6 # netloomish\n")

    def thing(name: str, ip: str) -> Thing:
        return Thing(("host_name", name), module.HostName(ip))

    async def start() -> Driver:
        driver: Driver = module.make_driver({"path": str(path)})
        return driver

    async def stop(_: Driver) -> None:
        pass

    def look() -> object:
        return [
            line for line in path.read_text().splitlines() if "localhost" in line or "mine" in line or "ish" in line
        ]

    things = (thing("a", "10.0.0.1"), thing("b", "fd00::1"), thing("c", "10.0.0.3"))
    changed, impossible = (thing("a", "10.0.0.7"),), (thing("d", "nowhere"),)
    asyncio.run(_run(check, Subject(start, stop, things, changed, impossible, plan, look)))


async def _run(check: Check, subject: Subject) -> None:
    await check(subject)
