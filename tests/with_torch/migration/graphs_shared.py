"""Layers of torch-geometric that are shared, held by others, derived from; its data beside a model."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tests.with_torch.migration.case import (
    EDGES,
    ON_GRAPH,
    assert_filled,
    calls,
    drawn,
    fill,
    numbers,
    same,
)
from tests.with_torch.migration.graphs import OWN, OwnGraphCase


class SharedConv(OwnGraphCase):
    """One convolution under two names, in a list and in a dict."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.again = made.conv
        made.plain = [made.conv]
        made.table = nn.ModuleDict({"x": made.conv, "y": nn.ModuleList([made.conv])})
        return {"model": made, "conv": made.conv}

    def keep(self, found: Any, net: Any) -> None:
        model = found["model"]
        others = [model.again, model.plain[0], model.table["x"], model.table["y"][0], found["conv"]]
        assert all(other is model.conv for other in others)


class TiedConvs(OwnGraphCase):
    """A weight tied across two convolutions; another tied to a layer of torch."""

    def make(self, net: Any) -> Any:
        made = net.Net()
        made.second = net.tg.GATv2Conv(4, 4, heads=2, concat=False)
        made.second.lin_l.weight = made.conv.lin_l.weight
        made.out = nn.Linear(4, 8)
        made.out.weight = made.conv.lin_r.weight
        return fill(made)

    def keep(self, found: Any, net: Any) -> None:
        assert found.second.lin_l.weight is found.conv.lin_l.weight
        assert found.out.weight is found.conv.lin_r.weight
        assert found.second.lin_r.weight is not found.conv.lin_r.weight


class SharedSubmodule(OwnGraphCase):
    """The library layer of one convolution is the own attribute of another."""

    def make(self, net: Any) -> Any:
        made = net.Net()
        made.second = net.tg.GATv2Conv(4, 4, heads=2, concat=False)
        made.second.lin_l = made.conv.lin_l
        made.linear = made.conv.lin_l
        return fill(made)

    def keep(self, found: Any, net: Any) -> None:
        assert found.second.lin_l is found.conv.lin_l
        assert found.linear is found.conv.lin_l


class OptimizerOverConvs(OwnGraphCase):
    """An optimizer over the weights of convolutions, with its moments."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        optimizer = torch.optim.Adam(made.parameters(), lr=0.125)
        made(torch.ones(6, 4), torch.tensor([[0, 1, 2], [1, 2, 3]])).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        return {"optimizer": optimizer, "model": made}

    def keep(self, found: Any, net: Any) -> None:
        mine, kept = list(found["model"].parameters()), found["optimizer"].param_groups[0]["params"]
        assert all(any(one is other for other in mine) for one in kept)
        assert len(kept) == len(mine) == len(found["optimizer"].state)
        assert set(found["optimizer"].state) == set(mine)


class ParametersOfConvs(OwnGraphCase):
    """Frozen and turned parameters of library layers; views of their weights; a buffer beside."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.conv.lin_l.weight.requires_grad_(False)
        att = made.conv.att.data
        del made.conv.att
        made.conv.register_buffer("att", att)
        made.conv.register_buffer("table", numbers((3,), 2), persistent=False)
        made.row = made.conv.lin_r.weight.data[0]
        made.conv.eval()
        return made

    def keep(self, found: Any, net: Any) -> None:
        conv = found.conv
        assert not conv.lin_l.weight.requires_grad
        assert list(conv._buffers) == ["att", "table"]
        assert "att" not in conv._parameters
        assert conv._non_persistent_buffers_set == {"table"}
        same(conv.table, numbers((3,), 2))
        assert found.row.data_ptr() == conv.lin_r.weight.data_ptr()
        assert (found.training, conv.training) == (True, False)


class ConvSubclass(OwnGraphCase):
    """A library convolution that the user derived from."""

    code = OWN + (
        "\nclass Residual(tg.GCNConv):\n    def __init__(self, width, scale):\n        super().__init__(width, width)\n"
        "        self.scale = scale\n        self.skip = nn.Linear(width, width)\n"
        "    def forward(self, x, edges):\n        return super().forward(x, edges) * self.scale + self.skip(x)\n"
    )

    def make(self, net: Any) -> Any:
        return fill(net.Net(net.Residual(4, scale=0.5)))

    def keep(self, found: Any, net: Any) -> None:
        assert type(found.conv) is net.Residual
        assert found.conv.scale == 0.5
        assert found.conv.in_channels == 4
        assert_filled(found)


class ConvAlone(OwnGraphCase):
    """A convolution alone in the file."""

    def make(self, net: Any) -> Any:
        return fill(net.tg.GATv2Conv(4, 4))

    def keep(self, found: Any, net: Any) -> None:
        assert type(found) is net.tg.GATv2Conv
        assert_filled(found)


class ConvAsBase(OwnGraphCase):
    """The user's model is itself a MessagePassing with convolutions within."""

    code = (
        OWN
        + """
class Model(MessagePassing):
    def __init__(self):
        super().__init__(aggr='max')
        self.convs = nn.ModuleList([tg.GCNConv(4, 4), Mean(4)])
        self.index = [torch.arange(3), (torch.ones(2), None)]
    def forward(self, x, edges):
        for conv in self.convs:
            x = conv(x, edges)
        return self.propagate(edges, x=x)
"""
    )

    def make(self, net: Any) -> Any:
        return fill(net.Model())

    def keep(self, found: Any, net: Any) -> None:
        assert type(found) is net.Model
        assert found.aggr == "max"
        assert type(found.convs[1]) is net.Mean
        same(found.index[1][0], torch.ones(2))
        assert_filled(found)


class NormOnConv(OwnGraphCase):
    """weight_norm of the old kind on a library layer."""

    def make(self, net: Any) -> Any:
        made = net.Net()
        nn.utils.weight_norm(made.conv.lin_l)
        return fill(made)

    def keep(self, found: Any, net: Any) -> None:
        assert set(dict(found.conv.lin_l.named_parameters())) == {"bias", "weight_g", "weight_v"}
        (hook,) = found.conv.lin_l._forward_pre_hooks.values()
        assert type(hook).__name__ == "WeightNorm"
        assert_filled(found)


class HalfConv(OwnGraphCase):
    """Convolutions in half precision and in float64."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net()).half()
        made.second = net.tg.GCNConv(4, 4).double()
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.conv.att.dtype is torch.float16
        assert found.second.lin.weight.dtype is torch.float64


class EmaOfConvs(OwnGraphCase):
    """An EMA copy and an ensemble of models with convolutions."""

    probe = {**ON_GRAPH, "at": ["model", "ema.0"]}

    def make(self, net: Any) -> Any:
        made, ema = fill(net.Net()), net.Net()
        ema.conv.att.data.fill_(0.25)
        return {"model": made, "ema": [ema], "best": ("x", fill(net.Net(net.Mean(4))))}

    def keep(self, found: Any, net: Any) -> None:
        assert_filled(found["model"])
        assert (found["ema"][0].conv.att == 0.25).all()
        assert_filled(found["best"][1])
        assert type(found["best"]) is tuple


class ParallelConvs(OwnGraphCase):
    """DataParallel around a model with convolutions."""

    def make(self, net: Any) -> Any:
        return {"net": nn.DataParallel(fill(net.Net()))}

    def keep(self, found: Any, net: Any) -> None:
        assert type(found["net"]) is nn.DataParallel
        assert_filled(found["net"].module)


class DataBeside(OwnGraphCase):
    """Data objects and a list of them beside the model."""

    kind = "torch-geometric: data"

    def make(self, net: Any) -> Any:
        from torch_geometric.data import Data

        data = Data(x=numbers((6, 4)), edge_index=torch.tensor([[0, 1], [1, 2]]), name="mesh", levels=[1, 2])
        return {"model": fill(net.Net()), "data": data, "list": [data, Data(x=data.x)]}

    def keep(self, found: Any, net: Any) -> None:
        data = found["data"]
        same(data.x, numbers((6, 4)))
        assert data.edge_index.tolist() == [[0, 1], [1, 2]]
        assert (data.name, data.levels, data.num_nodes) == ("mesh", [1, 2], 6)
        assert found["list"][0] is data
        assert found["list"][1].x is data.x


class DataInModel(OwnGraphCase):
    """Data as an attribute of the model, and a batch of several."""

    kind = "torch-geometric: data"

    def make(self, net: Any) -> Any:
        from torch_geometric.data import Batch, Data

        made = fill(net.Net())
        made.mesh = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0], [1]]))
        made.batch = Batch.from_data_list([made.mesh, made.mesh])
        return made

    def keep(self, found: Any, net: Any) -> None:
        same(found.mesh.x, torch.ones(3, 4))
        assert found.batch.num_graphs == 2
        assert found.batch[1].edge_index.tolist() == [[0], [1]]


class HeteroDataBeside(OwnGraphCase):
    """HeteroData beside the model."""

    kind = "torch-geometric: data"

    def make(self, net: Any) -> Any:
        from torch_geometric.data import HeteroData

        data = HeteroData()
        data["a"].x = torch.ones(2, 4)
        data["a", "to", "b"].edge_index = torch.tensor([[0], [1]])
        return {"model": fill(net.Net()), "data": data}

    def keep(self, found: Any, net: Any) -> None:
        same(found["data"]["a"].x, torch.ones(2, 4))
        assert found["data"]["a", "to", "b"].edge_index.tolist() == [[0], [1]]


class TransformsBeside(OwnGraphCase):
    """Transforms of the library, composed, with settings."""

    kind = "torch-geometric: data"

    def make(self, net: Any) -> Any:
        from torch_geometric import transforms

        made = fill(net.Net())
        made.transform = transforms.Compose([transforms.Constant(value=2.5, cat=False), transforms.ToUndirected()])
        return made

    def keep(self, found: Any, net: Any) -> None:
        first, second = found.transform.transforms
        assert (first.value, first.cat, type(second).__name__) == (2.5, False, "ToUndirected")


class NestedModel(OwnGraphCase):
    """A U-shaped model: lists of convolutions, pools of tensors, tuples of indices, like SUGAR's."""

    probe = calls(drawn(6, 4), EDGES)
    code = OWN + (
        "\nclass Unet(nn.Module):\n    def __init__(self, levels):\n        super().__init__()\n"
        "        self.down = nn.ModuleList([tg.GATv2Conv(4, 4, heads=2, concat=False) for _ in range(levels)])\n"
        "        self.up = [(torch.arange(6).flip(0), torch.rand(6, 1)) for _ in range(levels)]\n"
        "        self.act = nn.LeakyReLU(0.1)\n        self.norm = nn.BatchNorm1d(4)\n"
        "    def forward(self, x, edges):\n        for conv, (index, weight) in zip(self.down, self.up):\n"
        "            x = self.act(conv(x, edges))[index] * weight\n        return self.norm(x)\n"
    )

    def make(self, net: Any) -> Any:
        torch.manual_seed(3)
        return {"epoch": 7, "model": fill(net.Unet(3)), "optimizer": {"state": {}}}

    def keep(self, found: Any, net: Any) -> None:
        model = found["model"]
        assert_filled(model)
        torch.manual_seed(3)
        asked = net.Unet(3)
        for (index, weight), (other, _) in zip(model.up, asked.up):
            same(index, other)
            assert weight.shape == (6, 1)
        assert model.act.negative_slope == 0.1
        assert type(model.up[0]) is tuple
