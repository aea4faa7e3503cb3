"""Attributes of the user's own modules: every type of plain value keeps its type and contents."""

from __future__ import annotations

import argparse
import array
import collections
import datetime
import decimal
import fractions
import functools
import operator
import pathlib
import random
import re
import types
import uuid
from typing import Any

import torch

from tests.with_torch.migration.case import NET, ROWS, Case, fill, same


class ValueCase(Case, abstract=True):
    kind = "attribute of an own module"
    probe = ROWS

    def value(self, net: Any) -> Any:
        raise NotImplementedError

    def holds(self, value: Any, net: Any) -> None:
        raise NotImplementedError

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.kept = self.value(net)
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert type(found) is net.Net
        self.holds(found.kept, net)


class EqualCase(ValueCase, abstract=True):
    """A value that is compared by type and equality."""

    def holds(self, value: Any, net: Any) -> None:
        asked = self.value(net)
        assert type(value) is type(asked), type(value)
        assert value == asked


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
        assert found.worst != found.worst  # noqa: PLR0124 - NaN
        assert found.history[0]["loss"] == 0.25
        same(found.history[0]["at"], torch.tensor(3))


class NamespaceValue(EqualCase):
    """argparse.Namespace, nested."""

    def value(self, net: Any) -> Any:
        return argparse.Namespace(lr=0.1, inner=argparse.Namespace(depth=3), names=["a"])


class SimpleNamespaceValue(EqualCase):
    """types.SimpleNamespace."""

    def value(self, net: Any) -> Any:
        return types.SimpleNamespace(a=1, b=(2, 3))


class PathValue(EqualCase):
    """pathlib.Path."""

    def value(self, net: Any) -> Any:
        return [pathlib.Path("/data/x"), pathlib.PurePosixPath("a/b")]


class RangeValue(EqualCase):
    """range and slice, ellipsis."""

    def value(self, net: Any) -> Any:
        return [range(3, 30, 4), ...]


class SliceValue(EqualCase):
    """slice."""

    def value(self, net: Any) -> Any:
        return slice(1, None, 2)


class PartialValue(ValueCase):
    """functools.partial of a torch function."""

    def value(self, net: Any) -> Any:
        return functools.partial(torch.add, alpha=3)

    def holds(self, value: Any, net: Any) -> None:
        assert value.func is torch.add
        assert value.keywords == {"alpha": 3}


class OperatorValue(ValueCase):
    """operator.itemgetter and attrgetter, builtin functions."""

    def value(self, net: Any) -> Any:
        return [operator.itemgetter(1, 2), operator.attrgetter("a.b"), len, torch.relu, torch.nn.functional.gelu]

    def holds(self, value: Any, net: Any) -> None:
        assert value[0]("abc") == ("b", "c")
        assert value[2:] == [len, torch.relu, torch.nn.functional.gelu]


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


class DatetimeValue(EqualCase):
    """datetime, date, time, timedelta, timezone."""

    def value(self, net: Any) -> Any:
        day = datetime.datetime(2023, 4, 5, 6, 7, 8, 9, tzinfo=datetime.timezone.utc)
        zone = datetime.timezone(datetime.timedelta(hours=2), "X")
        return [day, day.date(), datetime.time(1, 2), datetime.timedelta(3, 4), zone]


class NumberValues(EqualCase):
    """Decimal, Fraction, complex, large and negative integers, signed zero."""

    def value(self, net: Any) -> Any:
        return [decimal.Decimal("1.10"), fractions.Fraction(2, 6), 1 + 2j, 2**200, -(2**70), True, 1, 1.0]

    def holds(self, value: Any, net: Any) -> None:
        super().holds(value, net)
        assert [type(item) for item in value] == [type(item) for item in self.value(net)]


class SignedZero(ValueCase):
    """Minus zero, infinities, subnormal floats."""

    def value(self, net: Any) -> Any:
        return [-0.0, 5e-324, float("-inf")]

    def holds(self, value: Any, net: Any) -> None:
        assert [repr(item) for item in value] == ["-0.0", "5e-324", "-inf"]


class DefaultDictValue(ValueCase):
    """defaultdict with its factory."""

    def value(self, net: Any) -> Any:
        made: Any = collections.defaultdict(list)
        made["a"].append(1)
        return made

    def holds(self, value: Any, net: Any) -> None:
        assert type(value) is collections.defaultdict
        assert value.default_factory is list
        assert value == {"a": [1]}


class CounterValue(EqualCase):
    """Counter."""

    def value(self, net: Any) -> Any:
        return collections.Counter("abba")


class OrderedValue(ValueCase):
    """OrderedDict, its order."""

    def value(self, net: Any) -> Any:
        made = collections.OrderedDict([("z", 1), ("a", 2)])
        made.move_to_end("z")
        return made

    def holds(self, value: Any, net: Any) -> None:
        assert type(value) is collections.OrderedDict
        assert list(value.items()) == [("a", 2), ("z", 1)]


class DictOrder(ValueCase):
    """A dict's order and keys of many types."""

    def value(self, net: Any) -> Any:
        return {2: "b", 1: "a", None: 0, (1, "x"): 3, 1.5: 4, b"k": 5, frozenset([1]): 6}

    def holds(self, value: Any, net: Any) -> None:
        assert list(value.items()) == list(self.value(net).items())


class DequeValue(ValueCase):
    """deque with its length."""

    def value(self, net: Any) -> Any:
        return collections.deque([1, 2], maxlen=5)

    def holds(self, value: Any, net: Any) -> None:
        assert type(value) is collections.deque
        assert (list(value), value.maxlen) == ([1, 2], 5)


class SetValues(EqualCase):
    """set and frozenset of plain values."""

    def value(self, net: Any) -> Any:
        return {"set": {1, "a", (2, 3)}, "frozen": frozenset([None, 2.5])}

    def holds(self, value: Any, net: Any) -> None:
        super().holds(value, net)
        assert type(value["frozen"]) is frozenset


class SizeValue(ValueCase):
    """torch.Size, dtype, device, layout, quantization scheme."""

    def value(self, net: Any) -> Any:
        return [torch.Size([2, 3]), torch.float16, torch.device("cuda:1"), torch.strided, torch.per_tensor_affine]

    def holds(self, value: Any, net: Any) -> None:
        assert type(value[0]) is torch.Size
        assert value == self.value(net)


class BytesValue(EqualCase):
    """bytes, bytearray, array, strings of every kind."""

    def value(self, net: Any) -> Any:
        return [b"\x00\xff", bytearray(b"ab"), array.array("d", [1.5, 2.5]), "\u00e4\n\x00\U0001f600", ""]


class RegexValue(EqualCase):
    """A compiled regular expression, a UUID."""

    def value(self, net: Any) -> Any:
        return [re.compile("a+b", re.IGNORECASE), uuid.UUID(int=7)]


class RandomValue(ValueCase):
    """A random.Random with its state, and torch's saved random state."""

    def value(self, net: Any) -> Any:
        torch.manual_seed(5)
        return {"python": random.Random(3), "torch": torch.get_rng_state()}

    def holds(self, value: Any, net: Any) -> None:
        assert value["python"].random() == random.Random(3).random()
        torch.set_rng_state(value["torch"])
        drawn = torch.rand(3)
        torch.manual_seed(5)
        same(drawn, torch.rand(3))


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


class ClassValue(ValueCase):
    """Classes as values: own, torch's, builtin, types."""

    def value(self, net: Any) -> Any:
        return [net.Net, torch.nn.ReLU, int, type(None), dict, collections.OrderedDict]

    def holds(self, value: Any, net: Any) -> None:
        assert value == self.value(net)


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
