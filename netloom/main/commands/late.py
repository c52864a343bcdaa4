"""A group of commands whose module is imported when one of them runs or is asked for its help, and not before.

Law: `netloom --help` imports nothing of the parts it speaks of.
"""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class Late(TyperCommand):
    """Stands for `app` of a module in the list of commands; `help` is the line that it has there."""

    def __init__(self, name: str, module: str, help: str) -> None:
        super().__init__(name, help=help)
        self.module = module

    @cached_property
    def loaded(self) -> Any:
        return typer.main.get_command(import_module(self.module).app)

    @property
    def commands(self) -> Any:
        return self.loaded.commands

    def make_context(self, *args: Any, **given: Any) -> Any:
        return self.loaded.make_context(*args, **given)


class WithLab(TyperGroup):
    """The commands that are declared, and `lab`, which is the only one that needs a client and the lab's hands."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.add_command(Late("lab", "netloom.lab.command", "A cloud on this machine, to try it. Needs root."))
