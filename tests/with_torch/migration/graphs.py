"""torch-geometric in a user's hands: changed, shared, hooked, derived from; and its data."""

from __future__ import annotations

from typing import Any

from torch import nn

from tests.with_torch.migration.case import (
    GRAPH,
    GraphCase,
    assert_filled,
    fill,
)

OWN = (
    GRAPH
    + """
from torch_geometric.nn import MessagePassing

class Mean(MessagePassing):
    flavour = "class"
    def __init__(self, width, aggr="mean"):
        super().__init__(aggr=aggr)
        self.lin = tg.Linear(width, width)
        self.width = width
        self.table = torch.arange(width)
    def forward(self, x, edges, edge_weight=None):
        return self.propagate(edges, x=self.lin(x)) + self.table
    def message(self, x_i, x_j):
        return x_j - x_i
def triple(module, inputs, output):
    return output * 3
def prefer(module, inputs):
    return (inputs[0] + 1, *inputs[1:])
def message(module, inputs, output):
    return output + 1
"""
)


class OwnGraphCase(GraphCase, abstract=True):
    kind = "torch-geometric: changed by the user"
    code = OWN


class OwnMessagePassing(OwnGraphCase):
    """The user's own MessagePassing, with attributes of its own."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net(net.Mean(4)))
        made.conv.flavour = "instance"
        made.conv.table = made.conv.table * 2
        made.conv.history = [("a", 1), None]
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert type(found.conv) is net.Mean
        assert found.conv.__dict__["flavour"] == "instance"
        assert found.conv.table.tolist() == [0, 2, 4, 6]
        assert found.conv.history == [("a", 1), None]
        assert found.conv.aggr == "mean"
        assert_filled(found)


class OwnWithLibraryNames(OwnGraphCase):
    """Own attributes with names that the library uses too."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net(net.Mean(4, aggr="add")))
        made.conv.node_dim = 0
        made.conv.params = {"mine": 1}
        made.conv.fuse = False
        made.conv.explain_ = "x"
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.conv.node_dim == 0
        assert found.conv.params == {"mine": 1}
        assert found.conv.fuse is False
        assert found.conv.aggr == "add"


class ChangedAggregation(OwnGraphCase):
    """aggr changed after construction."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net(net.tg.SAGEConv(4, 3, aggr="mean")))
        made.conv.aggr = "max"
        made.conv.aggr_module = net.tg.MaxAggregation()
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.conv.aggr == "max"
        assert type(found.conv.aggr_module) is net.tg.MaxAggregation


class ChangedAttributes(OwnGraphCase):
    """Settings of library layers changed after construction: slope, flag, string, tuple, None."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.conv.negative_slope = 0.75
        made.conv.add_self_loops = False
        made.conv.fill_value = "min"
        made.conv.dropout = 0.5
        made.conv.label = ("mine", None, [1])
        return made

    def keep(self, found: Any, net: Any) -> None:
        conv = found.conv
        assert (conv.negative_slope, conv.add_self_loops, conv.fill_value, conv.dropout) == (0.75, False, "min", 0.5)
        assert conv.label == ("mine", None, [1])
        assert type(conv.label) is tuple


class BiasTakenOut(OwnGraphCase):
    """A bias that the user removed after construction."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.conv.bias = None
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.conv.bias is None
        assert "bias" in found.conv._parameters
        assert "att" in found.conv._parameters


class LayerAdded(OwnGraphCase):
    """A layer added within a library layer, one swapped for another kind."""

    def make(self, net: Any) -> Any:
        made = net.Net()
        made.conv.extra = nn.Linear(2, 2)
        made.conv.lin_l = nn.Linear(4, 8, bias=False)
        return fill(made)

    def keep(self, found: Any, net: Any) -> None:
        assert type(found.conv.extra) is nn.Linear
        assert type(found.conv.lin_l) is nn.Linear
        assert type(found.conv.lin_r) is net.tg.Linear
        assert_filled(found)


class LayerInModel(OwnGraphCase):
    """Layers swapped within a model of the library."""

    def make(self, net: Any) -> Any:
        made = net.Net(net.tg.GCN(4, 5, num_layers=2, out_channels=4))
        made.conv.convs[1] = net.Mean(5)
        made.conv.act = nn.PReLU(5)
        return fill(made)

    def keep(self, found: Any, net: Any) -> None:
        assert type(found.conv.convs[1]) is net.Mean
        assert type(found.conv.convs[0]) is net.tg.GCNConv
        assert type(found.conv.act) is nn.PReLU
        assert_filled(found)


class HooksOnLayers(OwnGraphCase):
    """Hooks on library layers: forward, before it, backward, of state."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.conv.register_forward_hook(net.triple)
        made.conv.register_forward_pre_hook(net.prefer)
        made.conv.lin_l.register_full_backward_hook(net.message)
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert list(found.conv._forward_hooks.values()) == [net.triple]
        assert list(found.conv._forward_pre_hooks.values()) == [net.prefer]
        assert list(found.conv.lin_l._backward_hooks.values()) == [net.message]


class HookOfOwnObject(OwnGraphCase):
    """A hook on a library layer that is a bound method of an own object, which the model holds too."""

    code = OWN + (
        "\nclass Probe:\n    def __init__(self):\n        self.seen = []\n"
        "    def look(self, module, inputs, output):\n        self.seen.append(1)\n"
    )

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.probe = net.Probe()
        made.conv.register_forward_hook(made.probe.look)
        return made

    def keep(self, found: Any, net: Any) -> None:
        (hook,) = found.conv._forward_hooks.values()
        assert hook.__self__ is found.probe
        assert found.probe.seen == []


class MessageHooks(OwnGraphCase):
    """The library's own hooks: on messages and on propagate."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.conv.register_message_forward_hook(net.message)
        made.conv.register_propagate_forward_pre_hook(net.prefer_none)
        return made

    code = OWN + "\ndef prefer_none(module, inputs):\n    return None\n"

    def keep(self, found: Any, net: Any) -> None:
        assert list(found.conv._message_forward_hooks.values()) == [net.message]
        assert list(found.conv._propagate_forward_pre_hooks.values()) == [net.prefer_none]


class ForwardReplaced(OwnGraphCase):
    """A library layer's forward replaced by a method of the model, and by a function."""

    code = OWN.replace(
        "    def forward(self, x, edges):\n        return self.conv",
        "    def twice(self, x, edges):\n        return x * 2\n"
        "    def forward(self, x, edges):\n        return self.conv",
    )

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.conv.forward = made.twice
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.conv.__dict__["forward"].__self__ is found
