"""torch-geometric's norms, models, aggregations and pools."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from tests.with_torch.migration.case import GRAPH, ON_GRAPH, assert_filled, fill, same
from tests.with_torch.migration.convolutions import ConvCase


class GraphNorms(ConvCase):
    """BatchNorm, GraphNorm, LayerNorm, PairNorm of torch-geometric."""

    code = GRAPH.replace("self.conv(x, edges)", "self.conv(x)")
    text = (
        "nn.Sequential(tg.BatchNorm(4, eps=1e-3, momentum=0.2), tg.GraphNorm(4), tg.LayerNorm(4, affine=False),"
        " tg.PairNorm(scale=2.0), tg.InstanceNorm(4), tg.DiffGroupNorm(4, 2))"
    )

    def make(self, net: Any) -> Any:
        made = super().make(net)
        made.conv[0].module.num_batches_tracked.fill_(9)
        return made

    def keep(self, found: Any, net: Any) -> None:
        super().keep(found, net)
        assert found.conv[0].module.momentum == 0.2
        assert int(found.conv[0].module.num_batches_tracked) == 9
        assert found.conv[3].scale == 2.0


class Linears(ConvCase):
    """Linear and HeteroLinear of torch-geometric, one lazy that has seen its input."""

    code = GRAPH.replace("self.conv(x, edges)", "self.conv(x)")
    text = "nn.Sequential(tg.Linear(4, 5, bias=False, weight_initializer='glorot'), tg.Linear(-1, 3))"
    probe = ON_GRAPH

    def make(self, net: Any) -> Any:
        made = net.Net(self.layer(net))
        made(torch.ones(6, 4), None)
        return fill(made)

    def keep(self, found: Any, net: Any) -> None:
        assert_filled(found)
        assert found.conv[0].weight_initializer == "glorot"
        assert found.conv[1].in_channels == 5
        assert type(found.conv[1].weight) is nn.Parameter


class ModelGcn(ConvCase):
    """The model GCN of three layers with norms and jumping knowledge."""

    outcome = "refused"
    reason = "TrimToLayer"
    note = "the model keeps jumping knowledge as a module where its constructor takes a name"

    text = "tg.GCN(4, 5, num_layers=3, out_channels=2, dropout=0.25, act='elu', norm='batch_norm', jk='cat')"

    def keep(self, found: Any, net: Any) -> None:
        asked = self.layer(net)
        assert_filled(found.conv)
        assert str(found.conv) == str(asked)
        assert type(found.conv.act) is nn.ELU
        assert type(found.conv.norms[0]) is net.tg.BatchNorm
        assert type(found.conv.jk) is net.tg.JumpingKnowledge
        dropout = found.conv.dropout
        assert getattr(dropout, "p", dropout) == 0.25


class ModelGcnPlain(ConvCase):
    """The model GCN with norms and dropout."""

    text = "tg.GCN(4, 5, num_layers=3, out_channels=2, dropout=0.25, act='elu', norm='batch_norm')"

    def keep(self, found: Any, net: Any) -> None:
        assert_filled(found.conv)
        assert type(found.conv.act) is nn.ELU
        assert type(found.conv.norms[0]) is net.tg.BatchNorm
        dropout = found.conv.dropout
        assert getattr(dropout, "p", dropout) == 0.25


class ModelSage(ConvCase):
    """The model GraphSAGE with an activation of the user's own."""

    text = "tg.GraphSAGE(4, 5, num_layers=2, act=torch.tanh)"

    def keep(self, found: Any, net: Any) -> None:
        assert_filled(found.conv)
        assert found.conv.act is torch.tanh
        assert (found.conv.num_layers, found.conv.hidden_channels) == (2, 5)


class ModelGin(ConvCase):
    """The model GIN, whose layers hold MLPs."""

    text = "tg.GIN(4, 5, num_layers=2, out_channels=3)"

    def keep(self, found: Any, net: Any) -> None:
        assert_filled(found.conv)
        assert type(found.conv.convs[0].nn) is net.tg.MLP
        assert found.conv.convs[0].nn.channel_list == [4, 5, 5]


class ModelGat(ConvCase):
    """The model GAT, second version, with edge features."""

    text = "tg.GAT(4, 6, num_layers=2, out_channels=2, v2=True, heads=3)"

    def keep(self, found: Any, net: Any) -> None:
        assert_filled(found.conv)
        assert [type(conv) for conv in found.conv.convs] == [net.tg.GATv2Conv] * 2
        assert found.conv.convs[0].heads == 3


class Jumping(ConvCase):
    """JumpingKnowledge with an LSTM."""

    code = GRAPH.replace("self.conv(x, edges)", "self.conv([x, x + 1])")
    text = "tg.JumpingKnowledge('lstm', channels=4, num_layers=2)"
    probe = ON_GRAPH
    asked: ClassVar = {"mode": "lstm"}


class Aggregations(ConvCase):
    """Aggregations with weights: LSTM, attention, Set2Set, power mean."""

    code = GRAPH.replace("self.conv(x, edges)", "self.conv(x, torch.tensor([0, 0, 0, 1, 1, 1]))")
    text = "tg.MultiAggregation([tg.LSTMAggregation(4, 3), tg.AttentionalAggregation(nn.Linear(4, 1)), 'mean'])"
    probe = ON_GRAPH

    def keep(self, found: Any, net: Any) -> None:
        assert_filled(found.conv)
        kinds = [net.tg.LSTMAggregation, net.tg.AttentionalAggregation, net.tg.MeanAggregation]
        assert [type(aggregation) for aggregation in found.conv.aggrs] == kinds


class Pools(ConvCase):
    """SAGPooling, which holds a convolution of its own."""

    outcome = "refused"
    reason = "the new class has weights that the old one lacks: select"
    note = "2.7 keeps its scores in another module"

    text = "tg.SAGPooling(4, ratio=0.5, GNN=tg.GCNConv)"
    probe = None
    unprobed = "what it keeps depends on the order of equal scores"

    def make(self, net: Any) -> Any:
        made = super().make(net)
        return {"model": made, "lin": made.conv.gnn.lin.weight.detach().clone()}

    def keep(self, found: Any, net: Any) -> None:
        pool = found["model"].conv
        same(pool.gnn.lin.weight.data, found["lin"])
        assert type(pool.gnn) is net.tg.GCNConv
        assert pool.ratio == 0.5


class TopKPool(ConvCase):
    """TopKPooling, whose weight lies elsewhere in the new library."""

    outcome = "refused"
    reason = "its parameter weight has no place in the new class"
    note = "2.7 keeps its weight in another module"

    text = "tg.TopKPooling(4, ratio=0.5)"
    probe = ON_GRAPH

    def make(self, net: Any) -> Any:
        made = super().make(net)
        return {"model": made, "weight": made.conv.weight.detach().clone()}

    def keep(self, found: Any, net: Any) -> None:
        pool = found["model"].conv
        same(dict(pool.named_parameters())["select.weight"].data, found["weight"])
        assert pool.ratio == 0.5


class SequentialOfGraphs(ConvCase):
    """torch-geometric's Sequential, whose class is made at run time."""

    outcome = "refused"
    reason = "Sequential"
    note = "its class is made at run time in 2.2/2.3 and is gone in 2.7"
    text = "tg.Sequential('x, edges', [(tg.GCNConv(4, 3), 'x, edges -> x'), nn.ReLU()])"


class Hetero(ConvCase):
    """HeteroConv with a convolution for each kind of edge."""

    outcome = "refused"
    reason = "can't be made anew"
    note = "its keys are tuples, which its dict of modules keeps as text"

    text = (
        "tg.HeteroConv({('a', 'to', 'b'): tg.SAGEConv(4, 3), ('b', 'to', 'a'): tg.GCNConv(4, 3, add_self_loops=False)})"
    )
    probe = None
    unprobed = "its inputs are dicts with tuples as keys"
