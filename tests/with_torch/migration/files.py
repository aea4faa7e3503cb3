"""Files and containers of every shape that a model may lie in."""

from __future__ import annotations

import collections
import gzip
import io
import pickle
from typing import Any, ClassVar

import torch

from tests.with_torch.migration.case import (
    NET,
    ROWS,
    Case,
    GraphCase,
    assert_filled,
    fill,
)


class FileCase(Case, abstract=True):
    kind = "files and containers"
    probe: ClassVar[dict[str, Any] | None] = ROWS

    def make(self, net: Any) -> Any:
        return {"model": fill(net.Net()), "epoch": 3}

    def keep(self, found: Any, net: Any) -> None:
        assert found["epoch"] == 3
        assert type(found["model"]) is net.Net
        assert_filled(found["model"])


class ModuleAlone(FileCase):
    """The module alone, no dict around it."""

    def make(self, net: Any) -> Any:
        return fill(net.Net())

    def keep(self, found: Any, net: Any) -> None:
        assert type(found) is net.Net
        assert_filled(found)


class LegacyFormat(FileCase):
    """torch's format before the zip one."""

    def save(self, made: Any, path: Any) -> None:
        torch.save(made, path, _use_new_zipfile_serialization=False)


class LegacyGraph(GraphCase):
    """torch's format before the zip one, with layers of torch-geometric, shared views included."""

    kind = "files and containers"

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        return {"model": made, "view": made.conv.att.data[0, 0]}

    def save(self, made: Any, path: Any) -> None:
        torch.save(made, path, _use_new_zipfile_serialization=False)

    def keep(self, found: Any, net: Any) -> None:
        assert_filled(found["model"])
        assert found["view"].data_ptr() == found["model"].conv.att.data_ptr()


class PlainPickle(FileCase):
    """A plain pickle of the module, protocol 2 and the newest."""

    file = "model.pkl"

    def save(self, made: Any, path: Any) -> None:
        path.write_bytes(pickle.dumps(made, protocol=4))

    def load(self, path: Any) -> Any:
        return pickle.loads(path.read_bytes())


class PlainPickleGraph(GraphCase):
    """A plain pickle with layers of torch-geometric."""

    kind = "files and containers"
    file = "model.pkl"

    def make(self, net: Any) -> Any:
        return fill(net.Net())

    def save(self, made: Any, path: Any) -> None:
        path.write_bytes(pickle.dumps(made, protocol=2))

    def load(self, path: Any) -> Any:
        return pickle.loads(path.read_bytes())

    def keep(self, found: Any, net: Any) -> None:
        assert_filled(found)
        assert found.conv.heads == 2


class Gzipped(FileCase):
    """torch.save within gzip."""

    file = "model.pt.gz"

    def save(self, made: Any, path: Any) -> None:
        buffer = io.BytesIO()
        torch.save(made, buffer)
        path.write_bytes(gzip.compress(buffer.getvalue()))

    def load(self, path: Any) -> Any:
        return torch.load(io.BytesIO(gzip.decompress(path.read_bytes())), weights_only=False)


class GzippedGraph(GraphCase):
    """torch.save within gzip, with layers of torch-geometric."""

    kind = "files and containers"
    file = "model.pt.gz"

    def make(self, net: Any) -> Any:
        return fill(net.Net())

    save = Gzipped.save
    load = Gzipped.load

    def keep(self, found: Any, net: Any) -> None:
        assert_filled(found)


class StateDictOnly(FileCase):
    """A state dict: nothing to migrate."""

    probe = None
    unprobed = "a state dict has no module to call"

    def make(self, net: Any) -> Any:
        return fill(net.Net()).state_dict()

    def keep(self, found: Any, net: Any) -> None:
        assert type(found) is collections.OrderedDict
        assert vars(found)["_metadata"]["first"] == {"version": 1}
        made = net.Net()
        made.load_state_dict(found)
        assert_filled(made)


class Scripted(FileCase):
    """A scripted module: torch's own archive."""

    def make(self, net: Any) -> Any:
        return torch.jit.script(fill(net.Net()))

    def save(self, made: Any, path: Any) -> None:
        torch.jit.save(made, str(path))

    def load(self, path: Any) -> Any:
        return torch.jit.load(str(path))

    def keep(self, found: Any, net: Any) -> None:
        assert_filled(found)
        asked = fill(net.Net())
        assert torch.allclose(found(torch.ones(2, 4)), asked(torch.ones(2, 4)))


class NestedKeys(FileCase):
    """The module deep within dicts, lists and tuples."""

    def make(self, net: Any) -> Any:
        return {"state": [({"net": {"module": fill(net.Net())}}, 1)], "best": (None, 0.5)}

    def keep(self, found: Any, net: Any) -> None:
        assert_filled(found["state"][0][0]["net"]["module"])
        assert type(found["state"][0]) is tuple


class Ensemble(FileCase):
    """A list of models, each another."""

    def make(self, net: Any) -> Any:
        made = [fill(net.Net()) for _ in range(3)]
        made[1].first.weight.data.fill_(0.25)
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert [type(item) for item in found] == [net.Net] * 3
        assert (found[1].first.weight == 0.25).all()
        assert_filled(found[2])


class OwnDict(FileCase):
    """A checkpoint that is a dict class of the user, with attributes."""

    code = NET + "\nclass Checkpoint(dict):\n    version = 1\n"

    def make(self, net: Any) -> Any:
        made = net.Checkpoint(model=fill(net.Net()))
        made.version = 7
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert type(found) is net.Checkpoint
        assert found.version == 7
        assert_filled(found["model"])


class OwnContainers(FileCase):
    """Lists, tuples and OrderedDicts of the user's own classes."""

    code = NET + (
        "\nimport collections\nclass Items(list):\n    pass\nclass Pair(tuple):\n    pass\n"
        "class Table(collections.OrderedDict):\n    pass\n"
    )

    def make(self, net: Any) -> Any:
        made = net.Items([fill(net.Net()), net.Pair((1, 2)), net.Table(b=1, a=2)])
        made.tag = "x"
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert [type(found), type(found[1]), type(found[2])] == [net.Items, net.Pair, net.Table]
        assert (found.tag, list(found[2])) == ("x", ["b", "a"])
        assert_filled(found[0])


class OwnObjectAround(FileCase):
    """An object of the user's that holds the module: no dict, no module."""

    code = NET + "\nclass Run:\n    pass\n"

    def make(self, net: Any) -> Any:
        made = net.Run()
        made.model, made.epoch = fill(net.Net()), 5
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert (type(found), found.epoch) == (net.Run, 5)
        assert_filled(found.model)
