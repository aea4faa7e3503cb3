"""Layers of torch-geometric, one by one: made anew from their own attributes and state."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from tests.with_torch.migration.case import EDGES, GRAPH, GraphCase, assert_filled, calls, drawn, fill, same

WEIGHTS = drawn(14, distribution="uniform", low=0, high=1)
FEATURES = drawn(14, 3)


class ConvCase(GraphCase, abstract=True):
    """``text`` makes the layer; ``asked`` are attributes that the new layer must have."""

    kind = "torch-geometric: layers"
    text: ClassVar[str] = ""
    asked: ClassVar[dict[str, Any]] = {}

    def layer(self, net: Any) -> Any:
        return eval(self.text, {"tg": net.tg, "nn": nn, "torch": torch})

    def make(self, net: Any) -> Any:
        return fill(net.Net(self.layer(net)))

    def keep(self, found: Any, net: Any) -> None:
        asked = self.layer(net)
        assert type(found.conv) is type(asked)
        assert_filled(found.conv)
        assert repr(found.conv) == repr(asked)
        differing = set(found.conv.__dict__) ^ set(asked.__dict__)
        assert not differing, differing
        for name, value in self.asked.items():
            assert getattr(found.conv, name) == value, name


class GatV2(ConvCase):
    """GATv2Conv with heads, edge features, shared weights, no bias."""

    text = "tg.GATv2Conv(4, 3, heads=2, negative_slope=0.3, dropout=0.1, edge_dim=3, bias=False, share_weights=True)"
    probe = calls(drawn(6, 4), EDGES, FEATURES)
    code = GRAPH.replace("x, edges)", "x, edges, *more)")
    asked: ClassVar = {"heads": 2, "negative_slope": 0.3, "dropout": 0.1, "edge_dim": 3, "bias": None, "concat": True}

    def keep(self, found: Any, net: Any) -> None:
        super().keep(found, net)
        assert found.conv.lin_l is found.conv.lin_r
        assert found.conv.residual is False


class GatConv(ConvCase):
    """GATConv of one kind of nodes: two names of one layer became one name."""

    text = "tg.GATConv(4, 3, heads=2, concat=False, fill_value='add')"

    def make(self, net: Any) -> Any:
        made = super().make(net)
        return {"model": made, "state": {name: value.clone() for name, value in made.conv.state_dict().items()}}

    def keep(self, found: Any, net: Any) -> None:
        conv, state = found["model"].conv, found["state"]
        same(conv.lin.weight.data, state["lin_src.weight"])
        same(conv.att_src.data, state["att_src"])
        same(conv.bias.data, state["bias"])
        assert (conv.heads, conv.concat, conv.fill_value) == (2, False, "add")


class GatBipartite(ConvCase):
    """GATConv between two kinds of nodes."""

    text = "tg.GATConv((4, 5), 3, add_self_loops=False)"
    probe = calls({"tuple": [drawn(6, 4), drawn(6, 5)]}, EDGES)
    asked: ClassVar = {"in_channels": (4, 5), "add_self_loops": False}


class Gcn(ConvCase):
    """GCNConv with edge weights."""

    text = "tg.GCNConv(4, 3, improved=True, add_self_loops=False)"
    probe = calls(drawn(6, 4), EDGES, WEIGHTS)
    code = GRAPH.replace("x, edges)", "x, edges, *more)")
    asked: ClassVar = {"improved": True, "add_self_loops": False, "normalize": True}


class GcnPlain(ConvCase):
    """GCNConv without normalisation and bias."""

    outcome = "refused"
    reason = "does not support adding self-loops"
    note = "2.7 does not take an add_self_loops that 2.3 kept and never used"

    text = "tg.GCNConv(4, 3, normalize=False, bias=False)"
    asked: ClassVar = {"normalize": False, "bias": None}


class GcnCached(ConvCase):
    """GCNConv that has cached its edges."""

    text = "tg.GCNConv(4, 4, cached=True)"

    def make(self, net: Any) -> Any:
        made = super().make(net)
        made(torch.ones(6, 4), torch.tensor([[0, 1, 2, 5], [1, 2, 3, 0]]))
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert_filled(found)
        assert found.conv.cached is True
        edges, weights = found.conv._cached_edge_index
        assert edges.shape == (2, 10)
        assert weights.dtype is torch.float32


class Sage(ConvCase):
    """SAGEConv with projection and normalised output."""

    text = "tg.SAGEConv(4, 3, aggr='max', normalize=True, project=True, root_weight=False)"
    asked: ClassVar = {"aggr": "max", "normalize": True, "project": True, "root_weight": False}


class SageManyAggregations(ConvCase):
    """SAGEConv with several aggregations."""

    text = "tg.SAGEConv(4, 3, aggr=['mean', 'max'])"
    asked: ClassVar = {"aggr": ["mean", "max"]}


class SageDeviation(ConvCase):
    """SAGEConv that aggregates by standard deviation."""

    text = "tg.SAGEConv(4, 3, aggr=['mean', 'std'])"
    outcome = "refused"
    reason = "differs in float64"
    note = "2.7 computes another standard deviation than 2.3 (where the variance is small): told by the probe"


class SageOwnAggregation(ConvCase):
    """SAGEConv with an aggregation module that has a state."""

    outcome = "refused"
    reason = "Could not resolve 'SoftmaxAggregation(learn=True)'"
    note = "the layer keeps the module's text where its constructor takes the module"

    text = "tg.SAGEConv(4, 3, aggr=tg.SoftmaxAggregation(t=0.5, learn=True))"

    def keep(self, found: Any, net: Any) -> None:
        assert_filled(found)
        assert type(found.conv.aggr_module) is net.tg.SoftmaxAggregation
        assert found.conv.aggr_module.learn is True


class Gin(ConvCase):
    """GINConv around layers of the user's own."""

    code = GRAPH + "\nclass Mlp(nn.Sequential):\n    tag = 'none'\n"
    text = "tg.GINConv(Mlp(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)), eps=0.25, train_eps=True)"

    def layer(self, net: Any) -> Any:
        return eval(self.text, {"tg": net.tg, "nn": nn, "Mlp": net.Mlp})

    def make(self, net: Any) -> Any:
        made = super().make(net)
        made.conv.nn.tag = "mine"
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert type(found.conv.nn) is net.Mlp
        assert found.conv.nn.tag == "mine"
        assert isinstance(found.conv.eps, nn.Parameter)
        assert found.conv.initial_eps == 0.25
        assert_filled(found)


class GinBuffer(ConvCase):
    """GINConv whose epsilon is a buffer."""

    text = "tg.GINConv(nn.Linear(4, 3), eps=0.5)"
    asked: ClassVar = {"initial_eps": 0.5}


class Gine(ConvCase):
    """GINEConv with edge features."""

    text = "tg.GINEConv(nn.Sequential(nn.Linear(4, 3)), edge_dim=3)"
    probe = calls(drawn(6, 4), EDGES, FEATURES)
    code = GRAPH.replace("x, edges)", "x, edges, *more)")


class Edge(ConvCase):
    """EdgeConv around layers of torch."""

    text = "tg.EdgeConv(nn.Sequential(nn.Linear(8, 3), nn.ReLU()), aggr='mean')"
    asked: ClassVar = {"aggr": "mean"}


class TransformerLayer(ConvCase):
    """TransformerConv with gates and edge features."""

    text = "tg.TransformerConv(4, 3, heads=2, beta=True, edge_dim=3, concat=False)"
    probe = calls(drawn(6, 4), EDGES, FEATURES)
    code = GRAPH.replace("x, edges)", "x, edges, *more)")
    asked: ClassVar = {"heads": 2, "beta": True, "edge_dim": 3}


class Cheb(ConvCase):
    """ChebConv of order three."""

    outcome = "refused"
    reason = "nothing says what K of its constructor were"
    note = "the layer does not keep an argument of its constructor"

    text = "tg.ChebConv(4, 3, K=3, normalization='rw')"
    probe = None
    unprobed = "the layer asks for lambda_max"
    asked: ClassVar = {"normalization": "rw"}


class GraphLayer(ConvCase):
    """GraphConv against the direction of the edges."""

    text = "tg.GraphConv(4, 3, aggr='add', flow='target_to_source')"
    asked: ClassVar = {"flow": "target_to_source"}


class NnLayer(ConvCase):
    """NNConv whose edge network is the user's."""

    text = "tg.NNConv(4, 3, nn.Linear(3, 12), aggr='mean', root_weight=False)"
    probe = calls(drawn(6, 4), EDGES, FEATURES)
    code = GRAPH.replace("x, edges)", "x, edges, *more)")
    asked: ClassVar = {"root_weight": False}


class Rgcn(ConvCase):
    """RGCNConv with bases and edge types."""

    text = "tg.RGCNConv(4, 3, num_relations=2, num_bases=2)"
    probe = calls(drawn(6, 4), EDGES, drawn(14, dtype="int64", distribution="integers", low=0, high=2))
    code = GRAPH.replace("x, edges)", "x, edges, *more)")
    asked: ClassVar = {"num_bases": 2, "num_blocks": None}


class GatedConv(ConvCase):
    """GatedGraphConv, with its GRU cell."""

    text = "tg.GatedGraphConv(4, num_layers=2)"


class Appnp(ConvCase):
    """APPNP and SGConv: layers with few or no weights."""

    text = "tg.SGConv(4, 3, K=2)"
    asked: ClassVar = {"K": 2}

    def make(self, net: Any) -> Any:
        made = super().make(net)
        made.last = net.tg.APPNP(K=3, alpha=0.25)
        return made

    def keep(self, found: Any, net: Any) -> None:
        super().keep(found, net)
        assert (found.last.K, found.last.alpha) == (3, 0.25)


class Point(ConvCase):
    """PointNetConv with two networks."""

    text = "tg.PointNetConv(nn.Linear(7, 5), nn.Linear(5, 3))"
    probe = calls(drawn(6, 4), drawn(6, 3), EDGES)
    code = GRAPH.replace("x, edges)", "x, pos, edges)")
