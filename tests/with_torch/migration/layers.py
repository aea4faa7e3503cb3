"""torch's own layers: as pickle brings them, attributes of newer versions filled in."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tests.with_torch.migration.case import Case, assert_filled, calls, drawn, fill, numbers, same

HOLDER = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer
    def forward(self, *inputs):
        return self.layer(*inputs)
"""
TOKENS = drawn(2, 5, dtype="int64", distribution="integers", low=0, high=7)


class LayerCase(Case, abstract=True):
    kind = "torch's own layers"
    code = HOLDER

    def layer(self) -> nn.Module:
        raise NotImplementedError

    def make(self, net: Any) -> Any:
        return fill(net.Net(self.layer()))

    def keep(self, found: Any, net: Any) -> None:
        assert_filled(found)
        assert type(found.layer) is type(self.layer())
        assert repr(found.layer) == repr(self.layer())
        self.more(found.layer)

    def more(self, layer: Any) -> None:
        """What else is asked of this kind."""


class Recurrent(LayerCase):
    """LSTM, two directions, two layers."""

    probe = calls(drawn(3, 5, 4))

    def layer(self) -> nn.Module:
        return nn.LSTM(4, 3, num_layers=2, bidirectional=True, batch_first=True, dropout=0.25)

    def more(self, layer: Any) -> None:
        assert layer._flat_weights[0] is layer.weight_ih_l0
        assert layer(torch.ones(1, 2, 4))[0].shape == (1, 2, 6)


class Gated(LayerCase):
    """GRU and its state in a tuple."""

    probe = calls(drawn(5, 2, 4), drawn(1, 2, 3))

    def layer(self) -> nn.Module:
        return nn.GRU(4, 3)


class Packed(Case):
    """A PackedSequence in and out of an LSTM."""

    kind = "torch's own layers"
    probe = calls(drawn(5, 2, 4))
    code = HOLDER.replace(
        "return self.layer(*inputs)",
        "return self.layer(nn.utils.rnn.pack_padded_sequence(inputs[0], self.lengths))",
    )

    def make(self, net: Any) -> Any:
        made = fill(net.Net(nn.LSTM(4, 3, proj_size=2)))
        made.lengths = torch.tensor([5, 3])
        made.sample = nn.utils.rnn.pack_sequence([torch.ones(2), torch.ones(1)])
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert_filled(found)
        assert type(found.sample) is nn.utils.rnn.PackedSequence
        assert found.sample.batch_sizes.tolist() == [2, 1]
        assert found.layer.proj_size == 2


class Cells(LayerCase):
    """LSTMCell and RNN with ReLU."""

    probe = calls(drawn(5, 4))

    def layer(self) -> nn.Module:
        return nn.Sequential(nn.RNN(4, 4, nonlinearity="relu"))

    def make(self, net: Any) -> Any:
        made = super().make(net)
        made.cell = nn.LSTMCell(4, 4)
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.layer[0].mode == "RNN_RELU"
        assert type(found.cell) is nn.LSTMCell


class EncoderLayers(LayerCase):
    """A Transformer encoder, whose old layers lack attributes of the new."""

    outcome = "carried"
    note = "the new class has an attribute that the old one lacks"
    probe = calls(drawn(3, 5, 8))

    def layer(self) -> nn.Module:
        inner = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True, norm_first=True)
        return nn.TransformerEncoder(inner, 2, norm=nn.LayerNorm(8), enable_nested_tensor=False)

    def more(self, layer: Any) -> None:
        assert layer.layers[0].norm_first is True
        assert layer.layers[0].activation is nn.functional.gelu
        assert layer.train()(torch.ones(1, 2, 8)).shape == (1, 2, 8)


class WholeTransformer(LayerCase):
    """nn.Transformer, encoder and decoder."""

    outcome = "carried"
    note = "the new class has an attribute that the old one lacks"
    probe = calls(drawn(5, 1, 8), drawn(4, 1, 8))

    def layer(self) -> nn.Module:
        return nn.Transformer(8, 2, 1, 1, 16)


class Attention(LayerCase):
    """MultiheadAttention with key and value dimensions of their own."""

    probe = calls(drawn(3, 2, 8), drawn(4, 2, 6), drawn(4, 2, 5))

    def layer(self) -> nn.Module:
        return nn.MultiheadAttention(8, 2, kdim=6, vdim=5, add_bias_kv=True)


class ActivationGelu(LayerCase):
    """GELU, SiLU, Softmax, LeakyReLU, PReLU with settings; an in-place ReLU."""

    outcome = "carried"
    note = "PReLU has an attribute that the old one lacks"

    probe = calls(drawn(3, 4))

    def layer(self) -> nn.Module:
        acts = [nn.GELU("tanh"), nn.SiLU(), nn.Softmax(dim=-1), nn.LeakyReLU(0.3), nn.ReLU(inplace=True), nn.PReLU(4)]
        return nn.Sequential(*acts)

    def more(self, layer: Any) -> None:
        assert layer[0].approximate == "tanh"
        assert layer[3].negative_slope == 0.3
        assert layer[4].inplace


class Norms(LayerCase):
    """BatchNorm, GroupNorm, InstanceNorm, LayerNorm with settings and running values."""

    probe = calls(drawn(2, 4, 6))

    def layer(self) -> nn.Module:
        batch = nn.BatchNorm1d(4, eps=1e-3, momentum=None)
        return nn.Sequential(batch, nn.GroupNorm(2, 4), nn.InstanceNorm1d(4, track_running_stats=True), nn.LayerNorm(6))

    def make(self, net: Any) -> Any:
        made = super().make(net)
        made.layer[0].num_batches_tracked.fill_(77)
        return made

    def more(self, layer: Any) -> None:
        assert layer[0].momentum is None
        assert layer[0].eps == 1e-3
        assert int(layer[0].num_batches_tracked) == 77


class Convolutions(LayerCase):
    """Conv1d with padding modes, dilation, groups; a transposed one."""

    probe = calls(drawn(2, 4, 9))

    def layer(self) -> nn.Module:
        one = nn.Conv1d(4, 4, 3, padding=2, dilation=2, groups=2, padding_mode="circular")
        return nn.Sequential(one, nn.Conv1d(4, 4, 3, padding="same", bias=False), nn.ConvTranspose1d(4, 2, 3, stride=2))

    def more(self, layer: Any) -> None:
        assert layer[0].padding_mode == "circular"
        assert layer[1].padding == "same"
        assert layer[0].dilation == (2,)


class Convolution3d(LayerCase):
    """Conv3d, MaxPool with indices, Upsample."""

    probe = calls(drawn(1, 1, 6, 6, 6))

    def layer(self) -> nn.Module:
        return nn.Sequential(nn.Conv3d(1, 2, 3), nn.MaxPool3d(2), nn.Upsample(scale_factor=2, mode="trilinear"))


class Embeddings(LayerCase):
    """Embedding with token ids as input."""

    probe = calls(TOKENS)

    def layer(self) -> nn.Module:
        return nn.Embedding(7, 3, padding_idx=1, max_norm=None, scale_grad_by_freq=True)

    def more(self, layer: Any) -> None:
        assert layer.padding_idx == 1
        assert layer.scale_grad_by_freq is True


class Bags(LayerCase):
    """EmbeddingBag and Bilinear."""

    probe = calls(TOKENS)

    def layer(self) -> nn.Module:
        return nn.EmbeddingBag(7, 3, mode="sum")

    def make(self, net: Any) -> Any:
        made = net.Net(self.layer())
        made.two = nn.Bilinear(3, 3, 2)
        return fill(made)


class Parallel(Case):
    """DataParallel around the model."""

    kind = "torch's own layers"
    probe = calls(drawn(3, 4))

    def make(self, net: Any) -> Any:
        return {"net": nn.DataParallel(fill(net.Net()))}

    def keep(self, found: Any, net: Any) -> None:
        assert type(found["net"]) is nn.DataParallel
        assert_filled(found["net"].module)
        assert found["net"].device_ids == []


class LayerAttributes(Case):
    """Attributes that the user put on torch's layers: strings, tuples, None, tensors."""

    kind = "torch's own layers"
    probe = calls(drawn(3, 4))

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.first.label, made.first.shape, made.first.nothing = "encoder", (1, ("a", None)), None
        made.first.mask = torch.ones(4, 4)
        return made

    def keep(self, found: Any, net: Any) -> None:
        first = found.first
        assert (first.label, first.shape, first.nothing) == ("encoder", (1, ("a", None)), None)
        assert type(first.shape) is tuple
        same(first.mask, torch.ones(4, 4))


class LayerForwardReplaced(Case):
    """A method of the user's module in place of a torch layer's forward."""

    kind = "torch's own layers"
    probe = calls(drawn(3, 4))

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.first.forward = made.other_first = made.second.forward
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.first.__dict__["forward"].__self__ is found.second
        x = torch.ones(1, 4)
        same(found.first(x), found.second(x))


class LayerSubclass(Case):
    """The user's class that derives from a torch layer."""

    kind = "torch's own layers"
    probe = calls(drawn(3, 4))
    code = """
import torch
from torch import nn
class Net(nn.Linear):
    scale = 1.0
    def __init__(self, width):
        super().__init__(width, width, bias=False)
        self.own = torch.arange(width)
        self.scale = 2.0
    def forward(self, x):
        return super().forward(x)[:, self.own] * self.scale
"""

    def make(self, net: Any) -> Any:
        made = fill(net.Net(4))
        made.own = made.own.flip(0)
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert type(found) is net.Net
        same(found.weight.data, numbers((4, 4)))
        assert found.own.tolist() == [3, 2, 1, 0]
        assert found.scale == 2.0
        assert found.bias is None


class LossBeside(Case):
    """Losses with weights, as attributes and as keys."""

    kind = "torch's own layers"
    probe = None

    def make(self, net: Any) -> Any:
        loss = nn.CrossEntropyLoss(weight=torch.ones(3) / 4, ignore_index=2, label_smoothing=0.1)
        return {"loss": loss, "other": nn.BCEWithLogitsLoss(reduction="sum"), "model": fill(net.Net())}

    def keep(self, found: Any, net: Any) -> None:
        assert found["loss"].ignore_index == 2
        assert found["loss"].label_smoothing == 0.1
        same(found["loss"].weight, torch.ones(3) / 4)
        assert found["other"].reduction == "sum"
        assert_filled(found["model"])


class LazyLayer(LayerCase):
    """LazyLinear that has seen its first input."""

    probe = calls(drawn(3, 4))

    def layer(self) -> nn.Module:
        made = nn.Sequential(nn.LazyLinear(3))
        made(torch.ones(1, 4))
        return made

    def more(self, layer: Any) -> None:
        assert type(layer[0]) is nn.Linear
        assert layer[0].in_features == 4


class QuantizationStub(LayerCase):
    """A dynamically quantized Linear: packed weights of torch's own kind."""

    probe = None
    unprobed = "int8 kernels of another torch are not the matter"

    def layer(self) -> nn.Module:
        return nn.Sequential(nn.Linear(4, 4))

    def make(self, net: Any) -> Any:
        return net.Net(torch.ao.quantization.quantize_dynamic(fill(self.layer()), {nn.Linear}))

    def keep(self, found: Any, net: Any) -> None:
        packed = found.layer[0]
        assert type(packed).__module__.startswith("torch.ao.nn.quantized")
        assert torch.allclose(packed.weight().dequantize(), fill(self.layer())[0].weight, atol=0.02)
