"""Attributes of the user's own modules: every type of plain value keeps its type and contents."""

from __future__ import annotations

import argparse
import array
import collections
import datetime as dt
import decimal
import fractions
import functools
import operator
import pathlib
import random
import re
import types
import uuid
from typing import Any, ClassVar

import torch

from tests.with_torch.migration.case import ROWS, Case, fill, same


class ValueCase(Case, abstract=True):
    kind = "attribute of an own module"
    probe: ClassVar[dict[str, Any] | None] = ROWS

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


class DatetimeValue(EqualCase):
    """datetime, date, time, timedelta, timezone."""

    def value(self, net: Any) -> Any:
        day = dt.datetime(2023, 4, 5, 6, 7, 8, 9, tzinfo=dt.timezone.utc)
        zone = dt.timezone(dt.timedelta(hours=2), "X")
        return [day, day.date(), dt.time(1, 2), dt.timedelta(3, 4), zone]


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


class ClassValue(ValueCase):
    """Classes as values: own, torch's, builtin, types."""

    def value(self, net: Any) -> Any:
        return [net.Net, torch.nn.ReLU, int, type(None), dict, collections.OrderedDict]

    def holds(self, value: Any, net: Any) -> None:
        assert value == self.value(net)
