"""The root of the command line: its options ``--recipe`` and ``--lock`` are taken after a command's name too."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from typer.core import TyperGroup

from generator.cli.options import LOCK


class Root(TyperGroup):
    """Gives each command hidden copies of those options; what stands after the command's name counts."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for option in self.params:
            if option.name in _TAKEN:
                for command in self.commands.values():
                    command.params.append(_after_command(option))


def _after_command(option: Any) -> Any:
    copied = copy.copy(option)
    copied.callback = _TAKEN[option.name]
    copied.default = copied.envvar = None
    copied.expose_value = False
    copied.hidden = True
    return copied


def _recipe(context: Any, _option: Any, value: str | None) -> None:
    if value is not None:
        context.obj = value


def _lock(context: Any, _option: Any, value: str | None) -> None:
    if value is not None:
        context.meta[LOCK] = Path(value)


_TAKEN = {"recipe": _recipe, "lock": _lock}
