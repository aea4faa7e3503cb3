"""Deep and long structures, and probes of every shape."""

from __future__ import annotations

import sys
import threading
from typing import Any

import torch
from torch import nn

from tests.with_torch.migration.case import (
    GRAPH,
    NET,
    ON_GRAPH,
    GraphCase,
    assert_filled,
    calls,
    drawn,
    fill,
    same,
)
from tests.with_torch.migration.files import FileCase


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
    code = (
        GRAPH
        + """
class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(2, 2)
"""
    )
    probe = {**ON_GRAPH, "at": ["graph"]}

    def make(self, net: Any) -> Any:
        plain = fill(net.Plain())
        return {"graph": fill(net.Net()), "plain": plain, "list": [plain, nn.Linear(2, 2)], "again": {"plain": plain}}

    def keep(self, found: Any, net: Any) -> None:
        assert found["plain"] is found["list"][0]
        assert found["plain"] is found["again"]["plain"]
        assert_filled(found["plain"])
        assert_filled(found["graph"])
