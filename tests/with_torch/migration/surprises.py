"""What an earlier version of the migration lost without a word, or refused without need."""

from __future__ import annotations

import pathlib
import pickle
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tests.with_torch.migration.case import GRAPH, NET, Case, GraphCase, assert_filled, fill

HOOKED = GRAPH + "\ndef gradient(module, inputs, outputs):\n    module.seen = len(outputs)\n"


class SurpriseCase(GraphCase, abstract=True):
    kind = "surprises"


class BackwardHookOfConv(SurpriseCase):
    """A full backward hook on a convolution and on a layer within it."""

    code = HOOKED

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.conv.register_full_backward_hook(net.gradient)
        made.conv.lin_l.register_full_backward_hook(net.gradient)
        return made

    def keep(self, found: Any, net: Any) -> None:
        found(torch.ones(6, 4, requires_grad=True), torch.tensor([[0, 1], [1, 2]])).sum().backward()
        assert (found.conv.seen, found.conv.lin_l.seen) == (1, 1)


class SeveralPickles(SurpriseCase):
    """Three pickles in one file, one behind the other; the first holds a convolution."""

    file = "model.pkl"

    def make(self, net: Any) -> Any:
        return fill(net.Net()), {"epoch": 7}, [1, 2]

    def save(self, made: Any, path: pathlib.Path) -> None:
        with path.open("wb") as file:
            for part in made:
                pickle.dump(part, file)

    def load(self, path: pathlib.Path) -> Any:
        with path.open("rb") as file:
            return [pickle.load(file) for _ in range(3)]

    def keep(self, found: Any, net: Any) -> None:
        assert_filled(found[0])
        assert found[1:] == [{"epoch": 7}, [1, 2]]


class SeveralOldArchives(SeveralPickles):
    """Three of torch's older archives in one file."""

    file = "model.pt"

    def save(self, made: Any, path: pathlib.Path) -> None:
        with path.open("wb") as file:
            for part in made:
                torch.save(part, file, _use_new_zipfile_serialization=False)

    def load(self, path: pathlib.Path) -> Any:
        with path.open("rb") as file:
            return [torch.load(file, weights_only=False) for _ in range(3)]


class OrderOfParameters(SurpriseCase):
    """A convolution's parameters registered anew in another order, which Adam's state goes by."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        for name in ("bias", "att"):
            value = getattr(made.conv, name)
            delattr(made.conv, name)
            setattr(made.conv, name, value)
        return {"model": made, "names": [name for name, _ in made.named_parameters()]}

    def keep(self, found: Any, net: Any) -> None:
        assert [name for name, _ in found["model"].named_parameters()] == found["names"]


class OwnSettingsOfTorch(Case):
    """Subclasses of torch's layers whose settings are attributes of the class."""

    kind = "surprises"
    code = (
        NET
        + """
class Norm(nn.BatchNorm1d):
    eps, momentum, affine, track_running_stats = 1e-3, 0.9, False, False
    def __init__(self):
        nn.Module.__init__(self)
        self.num_features = 4
        self.weight = self.bias = self.running_mean = self.running_var = self.num_batches_tracked = None

class Relu(nn.ReLU):
    inplace = True
    def __init__(self):
        nn.Module.__init__(self)
"""
    )

    def make(self, net: Any) -> Any:
        return [net.Norm(), net.Relu()]

    def keep(self, found: Any, net: Any) -> None:
        assert (found[0].eps, found[0].momentum, found[1].inplace) == (1e-3, 0.9, True)


class ListOfConv(SurpriseCase):
    """A list that a convolution holds, and the user's model too."""

    def make(self, net: Any) -> Any:
        made = net.Net(net.tg.SAGEConv(4, 4, aggr=["mean", "max"]))
        made.names = made.conv.aggr
        return fill(made)

    def keep(self, found: Any, net: Any) -> None:
        assert found.names is found.conv.aggr


class ConvsInLayers(SurpriseCase):
    """Convolutions that were arguments of other layers of the library: DeepGCNLayer and GPSConv."""

    code = GRAPH.replace("self.conv(x, edges)", "self.last(self.conv(x, edges), edges)")

    def make(self, net: Any) -> Any:
        tg = net.tg
        deep = tg.DeepGCNLayer(tg.GENConv(4, 4, aggr="max"), tg.LayerNorm(4), nn.ReLU(), block="res+", dropout=0.2)
        return fill(net.Net(deep, last=tg.GPSConv(4, tg.GINConv(nn.Sequential(nn.Linear(4, 4))), heads=2))).eval()

    def keep(self, found: Any, net: Any) -> None:
        assert_filled(found)
        assert (found.conv.block, found.conv.dropout, found.last.heads) == ("res+", 0.2, 2)
        assert type(found.last.conv) is net.tg.GINConv
        assert found.conv.conv.aggr == "max"


class SetsOfParts(Case):
    """Sets of parameters and of tuples."""

    kind = "surprises"

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.frozen = set(made.parameters())
        made.edges = {("a", "to", "b"), ("b", "to", "a"), ("c", "in", "a"), ("c", "in", "b")}
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.frozen == set(found.parameters())
        assert found.edges == {("a", "to", "b"), ("b", "to", "a"), ("c", "in", "a"), ("c", "in", "b")}


class UnusualKeys(Case):
    """Functions, classes, paths and two NaN as keys."""

    kind = "surprises"

    def make(self, net: Any) -> Any:
        made = net.Net()
        made.table = {functional.l1_loss: 1, torch.relu: 2, net.Net: 3, pathlib.Path("a/b"): 4, float("nan"): 5}
        made.table[float("nan")] = 6
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert list(found.table.values()) == [1, 2, 3, 4, 5, 6]
        assert found.table[pathlib.Path("a/b")] == 4
        assert found.table[functional.l1_loss] == 1


class ClassOfConv(SurpriseCase):
    """A class of the library as a value, beside an instance of it."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.kinds = [net.tg.GATv2Conv, net.tg.GCNConv]
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.kinds == [net.tg.GATv2Conv, net.tg.GCNConv]
        assert_filled(found)


class LazyLayers(SurpriseCase):
    """Lazy layers that have not seen an input yet, torch's and the library's."""

    probe = None

    def make(self, net: Any) -> Any:
        return net.Net(net.tg.SAGEConv((-1, -1), 4), last=nn.LazyLinear(3))

    def keep(self, found: Any, net: Any) -> None:
        assert type(found.last) is nn.LazyLinear
        assert type(found.last.weight) is nn.parameter.UninitializedParameter
        assert found.conv.in_channels == (-1, -1)
        assert found.last(found(torch.ones(6, 4), torch.tensor([[0, 1], [1, 2]]))).shape == (6, 3)


class ModelWithoutOutput(SurpriseCase):
    """The model GraphSAGE without a last layer of its own: an attribute of an argument's name is not that argument."""

    def make(self, net: Any) -> Any:
        return fill(net.Net(net.tg.GraphSAGE(4, 4, num_layers=2, project=True)))

    def keep(self, found: Any, net: Any) -> None:
        assert_filled(found)
        assert not hasattr(found.conv, "_is_conv_to_out")
        names = [name for name, _ in found.conv.convs[0].named_parameters()]
        assert names == ["lin.weight", "lin.bias", "lin_l.weight", "lin_l.bias", "lin_r.weight"]


class AttentionOfAggregations(SurpriseCase):
    """Aggregations that are combined by attention, whose layers the new library makes otherwise; no probe."""

    probe = None
    outcome = "refused"
    reason = "no probe shows that it works"
    note = "2.7 keeps the layers of that attention in another class, and its arguments are kept nowhere"

    def make(self, net: Any) -> Any:
        attention = {"in_channels": 4, "out_channels": 4, "num_heads": 2}
        kwargs = {"mode": "attn", "mode_kwargs": attention}
        return fill(net.Net(net.tg.SAGEConv(4, 4, aggr=["mean", "max"], aggr_kwargs=kwargs)))


class StepsOfOptimizers(Case):
    """Optimizers that counted their steps in numbers: RMSprop and Adadelta, after a step."""

    kind = "surprises"

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        found = [torch.optim.RMSprop(made.parameters()), torch.optim.Adadelta(made.parameters())]
        made(torch.ones(2, 4)).sum().backward()
        for optimizer in found * 3:
            optimizer.step()
        return {"model": made.requires_grad_(), "optimizers": found}

    def keep(self, found: Any, net: Any) -> None:
        for optimizer in found["optimizers"]:
            assert [int(state["step"]) for state in optimizer.state.values()] == [3, 3, 3, 3]
            optimizer.step()


class TransformsThatChanged(SurpriseCase):
    """Transforms of the library's, of which the new ones keep more; a None buffer on a convolution."""

    def make(self, net: Any) -> Any:
        from torch_geometric import transforms

        made = fill(net.Net())
        made.transforms = [transforms.Distance(norm=False, cat=False), transforms.Cartesian(max_value=2.0)]
        made.conv.register_buffer("scale", None)
        return made

    def keep(self, found: Any, net: Any) -> None:
        from torch_geometric.data import Data

        edges = torch.tensor([[0, 1], [1, 2]])
        data = Data(pos=torch.arange(9.0).reshape(3, 3), edge_index=edges)
        assert found.transforms[0](data).edge_attr.shape == (2, 1)
        assert found.transforms[1](data).edge_attr.shape == (2, 3)
        assert found.transforms[0].norm is False
        assert found.conv._buffers["scale"] is None
