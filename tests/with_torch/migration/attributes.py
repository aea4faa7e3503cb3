"""Attributes of the user's own modules, and objects of the user's own classes."""

from __future__ import annotations

from typing import Any

import torch

from tests.with_torch.migration.case import NET, ROWS, Case, fill, same
from tests.with_torch.migration.values import EqualCase, ValueCase


class InstanceOverClass(Case):
    """A value of the instance over one of the class."""

    kind = "attribute of an own module"
    probe = ROWS

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.flavour = "mine"
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.__dict__["flavour"] == "mine"
        assert net.Net.flavour == "plain"


class MethodReplaced(Case):
    """A forward replaced on the instance by another of its methods."""

    kind = "attribute of an own module"
    probe = ROWS

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.forward = made.other
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.__dict__["forward"].__self__ is found
        assert found.__dict__["forward"].__func__ is net.Net.other
        x = torch.ones(1, 4)
        same(found(x), found.first(x) - 1)


class FunctionOnInstance(Case):
    """A function of the module in place of a method."""

    kind = "attribute of an own module"
    code = NET + "\ndef double(x):\n    return x * 2\n"
    probe = ROWS

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.other = net.double
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.__dict__["other"] is net.double


class TrainingLeftovers(Case):
    """Epoch, best loss and history that training left."""

    kind = "attribute of an own module"
    probe = ROWS

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.epoch, made.best, made.history = 41, float("inf"), [{"loss": 0.25, "at": torch.tensor(3)}]
        made.worst = float("nan")
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.epoch == 41
        assert found.best == float("inf")
        assert found.worst != found.worst
        assert found.history[0]["loss"] == 0.25
        same(found.history[0]["at"], torch.tensor(3))


class NamedTupleValue(EqualCase):
    """A namedtuple and a typing.NamedTuple of the user."""

    code = (
        NET
        + """
import collections, typing
Point = collections.namedtuple("Point", "x y")
class Size(typing.NamedTuple):
    width: int
    height: int = 4
"""
    )

    def value(self, net: Any) -> Any:
        return {"point": net.Point(1, 2.5), "size": net.Size(3)}

    def holds(self, value: Any, net: Any) -> None:
        super().holds(value, net)
        assert [type(item) for item in value.values()] == [net.Point, net.Size]


class SlotsValue(ValueCase):
    """An object with __slots__, one of them empty, and one with a __dict__ beside."""

    code = (
        NET
        + """
class Slotted:
    __slots__ = ("a", "b", "c")
class Both(Slotted):
    pass
"""
    )

    def value(self, net: Any) -> Any:
        one, two = net.Slotted(), net.Both()
        one.a, one.b = 1, torch.ones(2)
        two.a, two.more = 3, one
        return [one, two]

    def holds(self, value: Any, net: Any) -> None:
        one, two = value
        assert (one.a, two.a) == (1, 3)
        same(one.b, torch.ones(2))
        assert not hasattr(one, "c")
        assert two.more is one


class CallableObject(ValueCase):
    """An object of the user's own class with __call__."""

    code = (
        NET
        + """
class Scale:
    def __init__(self, by):
        self.by = by
    def __call__(self, x):
        return x * self.by
"""
    )

    def value(self, net: Any) -> Any:
        return net.Scale(3.5)

    def holds(self, value: Any, net: Any) -> None:
        assert value.by == 3.5
        assert value(2) == 7


class EnumValue(EqualCase):
    """Enums and flags of the user."""

    code = (
        NET
        + """
import enum
class Mode(enum.Enum):
    FAST = "fast"
    SLOW = "slow"
class Bits(enum.IntFlag):
    A = 1
    B = 2
"""
    )

    def value(self, net: Any) -> Any:
        return {"mode": net.Mode.SLOW, "bits": net.Bits.A | net.Bits.B}

    def holds(self, value: Any, net: Any) -> None:
        assert value["mode"] is net.Mode.SLOW
        assert value["bits"] == 3
        assert type(value["bits"]) is net.Bits


class DataclassArgument(ValueCase):
    """A dataclass and a Namespace that were constructor arguments, kept."""

    code = (
        NET
        + """
import dataclasses
@dataclasses.dataclass
class Config:
    width: int
    act: object = torch.relu
    sizes: list = dataclasses.field(default_factory=list)
@dataclasses.dataclass(frozen=True)
class Frozen:
    name: str
"""
    )

    def value(self, net: Any) -> Any:
        return [net.Config(4, sizes=[1]), net.Frozen("x")]

    def holds(self, value: Any, net: Any) -> None:
        assert value == self.value(net)
        assert value[0].act is torch.relu


class ArgumentOfEveryKind(Case):
    """Constructor arguments that are modules, functions, lists and classes."""

    kind = "attribute of an own module"
    probe = ROWS
    code = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self, body, act, widths, norm=nn.LayerNorm, **rest):
        super().__init__()
        self.body, self.act, self.widths, self.norm = body, act, widths, norm
        self.rest = rest
        self.layers = nn.ModuleList(norm(w) for w in widths)
    def forward(self, x):
        return self.act(self.layers[0](self.body(x)))
"""

    def make(self, net: Any) -> Any:
        return fill(net.Net(torch.nn.Linear(4, 4), torch.tanh, [4, 5], sizes={"a": (1, 2)}))

    def keep(self, found: Any, net: Any) -> None:
        assert found.act is torch.tanh
        assert found.norm is torch.nn.LayerNorm
        assert found.widths == [4, 5]
        assert found.rest == {"sizes": {"a": (1, 2)}}


class BoundMethodValue(ValueCase):
    """Bound methods of own objects and of tensors' owner."""

    code = (
        NET
        + """
class Log:
    def __init__(self):
        self.lines = ["x"]
    def add(self, line):
        self.lines.append(line)
"""
    )

    def value(self, net: Any) -> Any:
        log = net.Log()
        return {"log": log, "add": log.add}

    def holds(self, value: Any, net: Any) -> None:
        assert value["add"].__self__ is value["log"]
        assert value["log"].lines == ["x"]
