"""A device that is a dict: the reference that every other driver is compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from netloom.model.plan import Failure, Key, Op, Put, State, Thing

KINDS = frozenset({"bridge", "switch_port", "flow", "guard", "link"})
NEEDS: Mapping[str, frozenset[str]] = {
    "switch_port": frozenset({"bridge"}),
    "flow": frozenset({"bridge", "switch_port"}),
}


class MemoryDriver:
    """Holds things of any kinds. `device` outlives the driver, as a real one does; `refuse` says which ops fail."""

    def __init__(
        self,
        device: dict[Key, Thing] | None = None,
        kinds: frozenset[str] = KINDS,
        needs: Mapping[str, frozenset[str]] = NEEDS,
        refuse: Callable[[Op], str] = lambda op: "",
    ) -> None:
        self.device: dict[Key, Thing] = {} if device is None else device
        self._kinds, self._needs, self._refuse = kinds, needs, refuse
        self.applied: list[Op] = []

    @property
    def kinds(self) -> frozenset[str]:
        return self._kinds

    @property
    def needs(self) -> Mapping[str, frozenset[str]]:
        return self._needs

    async def read(self) -> State:
        return dict(self.device)

    async def apply(self, ops: Sequence[Op]) -> Sequence[Failure]:
        failures = []
        for op in ops:
            if reason := self._refuse(op):
                failures.append(Failure(op, reason))
            elif isinstance(op, Put):
                self.device[op.thing.key] = op.thing
            else:
                self.device.pop(op.thing.key, None)
            self.applied.append(op)
        return failures


def make_driver(options: Mapping[str, str]) -> MemoryDriver:
    """The driver as `netloom.drivers.load_drivers` makes it; it has no options."""
    return MemoryDriver()
