"""Files and containers of every shape that a model may lie in."""

from __future__ import annotations

import collections
import gzip
import io
import pickle
import sys
import threading
from typing import Any

import torch
from torch import nn

from tests.with_torch.migration.case import GRAPH, NET, ON_GRAPH, ROWS, Case, GraphCase, assert_filled, calls, drawn, fill, same


class FileCase(Case, abstract=True):
    kind = "files and containers"
    probe = ROWS

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
        assert found._metadata["first"] == {"version": 1}
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


def deeply(function: Any) -> Any:
    """Run with a stack that deep structures need, as people do who pickle them."""
    result: list[Any] = []
    threading.stack_size(512 * 2**20)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10**6)
    try:
        thread = threading.Thread(target=lambda: result.append(function()))
        thread.start()
        thread.join()
    finally:
        sys.setrecursionlimit(limit)
        threading.stack_size(0)
    return result[0]


def nested(depth: int) -> Any:
    made: Any = torch.tensor([5.0])
    for _ in range(depth):
        made = [made]
    return made


def unnested(found: Any) -> tuple[int, Any]:
    depth = 0
    while type(found) is list:
        assert len(found) == 1
        found, depth = found[0], depth + 1
    return depth, found


class DeepList(FileCase):
    """20,000 lists in each other beside a model."""

    def make(self, net: Any) -> Any:
        return {"model": fill(net.Net()), "deep": nested(20_000), "epoch": 3}

    def save(self, made: Any, path: Any) -> None:
        deeply(lambda: torch.save(made, path))

    def keep(self, found: Any, net: Any) -> None:
        super().keep(found, net)
        depth, end = unnested(found["deep"])
        assert depth == 20_000
        same(end, torch.tensor([5.0]))


class DeepListGraph(GraphCase):
    """3,000 lists in each other, in a file that must be written anew."""

    kind = "files and containers"

    def make(self, net: Any) -> Any:
        return {"model": fill(net.Net()), "deep": nested(3_000)}

    def save(self, made: Any, path: Any) -> None:
        deeply(lambda: torch.save(made, path))

    def keep(self, found: Any, net: Any) -> None:
        assert unnested(found["deep"])[0] == 3_000
        assert_filled(found["model"])


class LongChain(FileCase):
    """5,000 objects, each holding the next."""

    code = NET + "\nclass Link:\n    next = None\n"

    def make(self, net: Any) -> Any:
        first = None
        for number in range(5_000):
            link = net.Link()
            link.next, link.number = first, number
            first = link
        return {"model": fill(net.Net()), "chain": first, "epoch": 3}

    def save(self, made: Any, path: Any) -> None:
        deeply(lambda: torch.save(made, path))

    def keep(self, found: Any, net: Any) -> None:
        super().keep(found, net)
        link, count = found["chain"], 0
        while link:
            link, count = link.next, count + 1
        assert count == 5_000


class ManyEntries(FileCase):
    """A list of 100,000 numbers and a dict of 20,000 strings: large, not deep."""

    def make(self, net: Any) -> Any:
        many = {str(number): -number for number in range(20_000)}
        return {"model": fill(net.Net()), "losses": [x / 8 for x in range(100_000)], "many": many, "epoch": 3}

    def keep(self, found: Any, net: Any) -> None:
        super().keep(found, net)
        assert found["losses"][-1] == 99_999 / 8
        assert len(found["many"]) == 20_000


class InputsAndOutputs(FileCase):
    """Dict, starred and keyword inputs; outputs in dataclasses, namedtuples, dicts."""

    probe = calls(
        drawn(3, 4),
        {"dict": {"a": drawn(2, 4), "b": {"list": [drawn(1, 4, dtype="float64"), {"value": 2}]}}},
        {"tuple": [drawn(2, dtype="bool", distribution="booleans")]},
        drawn(2, 3, name="extra", dtype="int64", distribution="integers", low=0, high=5),
        {"name": "flag", "value": None},
    )
    code = NET.replace("class Net", "class Base") + (
        "\nimport collections, dataclasses\nPair = collections.namedtuple('Pair', 'left right')\n"
        "@dataclasses.dataclass\nclass Output:\n    value: torch.Tensor\n    more: object = None\n"
        "class Net(Base):\n"
        "    def forward(self, *inputs, extra, flag=1):\n"
        "        x, table, masks = inputs\n"
        "        assert flag is None\n"
        "        y = super().forward(x)\n"
        "        rest = {'sum': table['a'].sum(), 'n': 3, 'extra': extra * 2, 'mask': ~masks[0]}\n"
        "        return Output(y, [Pair(y + 1, rest), table['b'][0] * table['b'][1]])\n"
    )


class StatefulForward(FileCase):
    """A forward that changes the module each time it runs."""

    code = NET.replace("class Net", "class Base") + (
        "\nclass Net(Base):\n    count = 0\n    def forward(self, x):\n        self.count += 1\n"
        "        self.last = x\n        self.first.bias.data += 1\n        return super().forward(x) + self.count\n"
    )

    def keep(self, found: Any, net: Any) -> None:
        super().keep(found, net)
        assert "count" not in found["model"].__dict__
        assert "last" not in found["model"].__dict__


class CudaInCode(FileCase):
    """Code that names CUDA in forward, and a model that remembers it."""

    code = NET.replace("class Net", "class Base") + (
        "\nclass Net(Base):\n    device = torch.device('cuda:0')\n    def forward(self, x):\n"
        "        x = x.to(self.device) + torch.ones(4, device='cuda') + torch.zeros(4).cuda()\n"
        "        return super().forward(x)\n"
    )

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.device = torch.device("cuda:0")
        return {"model": made, "epoch": 3}

    def keep(self, found: Any, net: Any) -> None:
        super().keep(found, net)
        assert found["model"].device == torch.device("cuda:0")


class SavedByNewProtocol(FileCase):
    """torch.save with pickle protocol 4."""

    def save(self, made: Any, path: Any) -> None:
        torch.save(made, path, pickle_protocol=4)


class ModelOfModels(GraphCase):
    """A dict of models, some with layers of torch-geometric and some without."""

    kind = "files and containers"
    code = GRAPH + "\nclass Plain(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.a = nn.Linear(2, 2)\n"
    probe = {**ON_GRAPH, "at": ["graph"]}

    def make(self, net: Any) -> Any:
        plain = fill(net.Plain())
        return {"graph": fill(net.Net()), "plain": plain, "list": [plain, nn.Linear(2, 2)], "again": {"plain": plain}}

    def keep(self, found: Any, net: Any) -> None:
        assert found["plain"] is found["list"][0]
        assert found["plain"] is found["again"]["plain"]
        assert_filled(found["plain"])
        assert_filled(found["graph"])
