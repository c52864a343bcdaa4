"""The rim: one folder per device. State goes in as ops and comes out by reading; nobody else touches a device.

A driver is found by its name among the entry points `netloom.drivers`, Netloom's own and those of others alike; each
names a function from options to a `netloom.model.driver.Driver`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from typing import cast

from netloom.model.driver import Driver, Ordered

GROUP = "netloom.drivers"

MakeDriver = Callable[[Mapping[str, str]], Driver]


class UnknownDriver(LookupError):
    """No installed package offers a driver of that name."""


def load_drivers(names: Iterable[str], options: Mapping[str, Mapping[str, str]]) -> dict[str, Driver]:
    """Drivers by name, each made with its own options. UnknownDriver says which names there are.

    ValueError when two of them hold the same kind of thing.
    """
    found = {point.name: point for point in entry_points(group=GROUP)}
    drivers: dict[str, Driver] = {}
    owners: dict[str, str] = {}
    for name in names:
        if name not in found:
            raise UnknownDriver(f"no driver '{name}'; there are: {', '.join(sorted(found))}")
        make = cast(MakeDriver, found[name].load())
        drivers[name] = make(options.get(name, {}))
        for kind in drivers[name].kinds:
            if owners.setdefault(kind, name) != name:
                raise ValueError(f"drivers {owners[kind]} and {name} both hold things of the kind {kind}")
    return drivers


def merge_needs(drivers: Iterable[Driver]) -> dict[str, frozenset[str]]:
    """What each kind needs, over all drivers: what a plan's order comes from."""
    needs: dict[str, frozenset[str]] = {}
    for driver in drivers:
        for asked in (driver.needs, driver.after if isinstance(driver, Ordered) else {}):
            for kind, wanted in asked.items():
                needs[kind] = needs.get(kind, frozenset()) | wanted
    return needs
