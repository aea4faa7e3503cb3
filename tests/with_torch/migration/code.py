"""The user's own code: how it pickles itself, what it does on import, and code that changed since."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tests.with_torch.migration.case import (
    GRAPH,
    NET,
    ON_GRAPH,
    ROWS,
    Case,
    GraphCase,
    assert_filled,
    calls,
    drawn,
    fill,
    same,
)


class CodeCase(Case, abstract=True):
    kind = "the user's own code"
    probe = ROWS

    def make(self, net: Any) -> Any:
        return fill(net.Net())

    def keep(self, found: Any, net: Any) -> None:
        assert type(found) is net.Net
        assert_filled(found)


class NestedClass(CodeCase):
    """A class within a class."""

    code = NET + "\nclass Outer:\n    class Inner(Net):\n        class Config:\n            depth = 1\n"

    def make(self, net: Any) -> Any:
        made = fill(net.Outer.Inner())
        made.config = net.Outer.Inner.Config()
        made.config.depth = 2
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert type(found) is net.Outer.Inner
        assert type(found.config) is net.Outer.Inner.Config
        assert found.config.depth == 2
        assert_filled(found)


class Reduced(CodeCase):
    """__reduce__ with arguments, state, list and dict items."""

    code = (
        NET
        + """
class Bag:
    def __init__(self, name):
        self.name, self.items, self.table = name, [], {}
    def append(self, item):
        self.items.append(item)
    def extend(self, items):
        self.items.extend(items)
    def __setitem__(self, key, value):
        self.table[key] = value
    def __reduce__(self):
        return Bag, (self.name,), {"extra": 1}, iter(self.items), iter(self.table.items())
"""
    )

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.bag = net.Bag("x")
        made.bag.append(made.first)
        made.bag["k"] = torch.ones(2)
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.bag.items == [found.first]
        same(found.bag.table["k"], torch.ones(2))
        assert (found.bag.name, found.bag.extra) == ("x", 1)


class OwnState(CodeCase):
    """__getstate__ and __setstate__ that leave out and make anew."""

    code = (
        NET
        + """
class Cache:
    def __init__(self, size):
        self.size, self.table = size, {n: n * n for n in range(size)}
    def __getstate__(self):
        return (self.size,)
    def __setstate__(self, state):
        self.__init__(*state)
"""
    )

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.cache = net.Cache(5)
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.cache.size == 5
        assert found.cache.table[4] == 16


class ModuleWithOwnState(CodeCase):
    """A module with __getstate__ and __setstate__ of its own."""

    code = NET.replace("class Net", "class Base") + (
        "\nclass Net(Base):\n    def __getstate__(self):\n        state = self.__dict__.copy()\n"
        "        state['scratch'] = None\n        return state\n"
        "    def __setstate__(self, state):\n        super().__setstate__(state)\n        self.awake = True\n"
    )

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.scratch = torch.ones(1000)
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.scratch is None
        assert found.awake is True
        assert_filled(found)


class NewArguments(CodeCase):
    """__getnewargs__ and __getnewargs_ex__; subclasses of int, float, str."""

    code = (
        NET
        + """
class Metres(float):
    unit = "m"
class Level(int):
    def __new__(cls, value, *, name="n"):
        made = super().__new__(cls, value)
        made.name = name
        return made
    def __getnewargs_ex__(self):
        return (int(self),), {"name": self.name}
class Name(str):
    __slots__ = ()
"""
    )

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.kept = [net.Metres(2.5), net.Level(3, name="fine"), net.Name("x")]
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert [type(item) for item in found.kept] == [net.Metres, net.Level, net.Name]
        assert found.kept == [2.5, 3, "x"]
        assert found.kept[1].name == "fine"


class Singleton(CodeCase):
    """A singleton that pickles itself by name, and NotImplemented, Ellipsis."""

    code = (
        NET
        + """
class _Missing:
    def __reduce__(self):
        return "MISSING"
MISSING = _Missing()
"""
    )

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.kept = [net.MISSING, NotImplemented, ...]
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.kept[0] is net.MISSING
        assert found.kept[1:] == [NotImplemented, ...]


class GetattrEverything(CodeCase):
    """A class whose __getattr__ answers everything."""

    code = (
        NET
        + """
class Config(dict):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)
    def __setattr__(self, name, value):
        self[name] = value
"""
    )

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.config = net.Config(lr=0.5)
        made.config.depth = 3
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert type(found.config) is net.Config
        assert dict(found.config) == {"lr": 0.5, "depth": 3}
        assert found.config.nothing is None


class OwnEquality(CodeCase):
    """Objects whose == lies or raises, and without a hash."""

    code = (
        NET
        + """
class Liar:
    def __init__(self, value):
        self.value = value
    def __eq__(self, other):
        return True
    __hash__ = None
class Thrower(Liar):
    def __eq__(self, other):
        raise RuntimeError("compared")
    def __bool__(self):
        raise RuntimeError("asked")
    __hash__ = None
"""
    )

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.kept = [net.Liar(1), net.Liar(2), net.Thrower(3)]
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert [item.value for item in found.kept] == [1, 2, 3]


class OwnMetaclass(CodeCase):
    """Classes with a metaclass, with generics, abstract ones."""

    code = (
        NET.replace("class Net", "class Base")
        + """
import abc, typing
class Registry(type):
    known = {}
    def __init__(cls, *a):
        super().__init__(*a)
        Registry.known[cls.__name__] = cls
class Entry(metaclass=Registry):
    value = 1
T = typing.TypeVar("T")
class Box(typing.Generic[T]):
    def __init__(self, item):
        self.item = item
class Net(Base, abc.ABC):
    pass
"""
    )

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        entry = net.Entry()
        entry.value = 9
        made.kept = [entry, net.Box[int](4)]
        return made

    def keep(self, found: Any, net: Any) -> None:
        super().keep(found, net)
        assert (type(found.kept[0]), found.kept[0].value) == (net.Entry, 9)
        assert (type(found.kept[1]), found.kept[1].item) == (net.Box, 4)


class Properties(CodeCase):
    """Properties and descriptors whose values lie in the instance."""

    code = NET.replace("class Net", "class Base") + (
        "\nclass Net(Base):\n    _scale = 1\n    @property\n    def scale(self):\n        return self._scale\n"
        "    @scale.setter\n    def scale(self, value):\n        self._scale = value\n"
        "    @property\n    def broken(self):\n        raise RuntimeError('not yet')\n"
    )

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.scale = 3
        made.__dict__["broken"] = "hidden"
        return made

    def keep(self, found: Any, net: Any) -> None:
        super().keep(found, net)
        assert found.scale == 3
        assert found.__dict__["broken"] == "hidden"


class CodeOfManyModules(CodeCase):
    """Code that prints on import, and warns."""

    code = "import sys, warnings\nprint('loading the net')\nprint('{\"status\": 1}')\nwarnings.warn('old')\n" + NET


class IntegerInput(CodeCase):
    """Token ids and a boolean mask as inputs."""

    probe = calls(
        drawn(2, 3, dtype="int64", distribution="integers", low=0, high=5),
        drawn(2, 3, 1, name="mask", dtype="bool", distribution="booleans"),
    )
    code = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(5, 4)
    def forward(self, ids, mask=None):
        return self.table(ids).masked_fill(mask, 0), ids + 1
"""


class UserPackage(GraphCase):
    """Own subclass of a torch-geometric layer with an attribute that the library also has."""

    kind = "the user's own code"
    code = (
        GRAPH
        + """
class Mine(tg.GATv2Conv):
    def __init__(self):
        super().__init__(4, 4)
        self.heads = 1
        self.extra = {'a': (1, 2)}
"""
    )

    def make(self, net: Any) -> Any:
        made = fill(net.Net(net.Mine()))
        made.conv.extra["b"] = torch.ones(2)
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert type(found.conv) is net.Mine
        assert found.conv.extra["a"] == (1, 2)
        same(found.conv.extra["b"], torch.ones(2))
        assert_filled(found)


class ImportsWhatIsGone(GraphCase):
    """Code that imports a library that the new environment lacks."""

    kind = "the user's own code"
    code = "try:\n    import torch_spline_conv\nexcept ImportError:\n    torch_spline_conv = None\n" + GRAPH
    probe = ON_GRAPH

    def make(self, net: Any) -> Any:
        return fill(net.Net())

    def keep(self, found: Any, net: Any) -> None:
        assert_filled(found)


class SequentialOfOwn(CodeCase):
    """Only torch's containers around own modules; no class of the user at the top."""

    def make(self, net: Any) -> Any:
        return fill(nn.Sequential(net.Net(), nn.ReLU()))

    def keep(self, found: Any, net: Any) -> None:
        assert type(found) is nn.Sequential
        assert type(found[0]) is net.Net
        assert_filled(found)
