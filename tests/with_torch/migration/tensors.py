"""Tensors of every type, layout and class."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tests.with_torch.migration.case import NET, assert_filled, calls, drawn, fill, same
from tests.with_torch.migration.state import StateCase, quietly


class ManyTypes(StateCase):
    """float64, half, bfloat16, complex, bool, uint8, int8 tensors; no dimension; empty ones."""

    probe = None
    code = "from torch import nn\nclass Net(nn.Module):\n    pass\n"
    types = ("float64", "float16", "bfloat16", "complex64", "complex128", "bool", "uint8", "int8", "int16", "int64")

    def make(self, net: Any) -> Any:
        made = net.Net()
        for name in self.types:
            made.register_buffer("of_" + name, torch.tensor([0.0, 1.0, 3.0]).to(getattr(torch, name)))
        made.scalar = torch.tensor(7.5)
        made.empty = torch.empty(0, 3)
        made.conjugate = torch.tensor([1 + 2j]).conj()
        made.odd = torch.tensor([float("nan"), float("inf"), -0.0])
        return made

    def keep(self, found: Any, net: Any) -> None:
        for name in self.types:
            same(getattr(found, "of_" + name), torch.tensor([0.0, 1.0, 3.0]).to(getattr(torch, name)))
        same(found.scalar, torch.tensor(7.5))
        assert found.empty.shape == (0, 3)
        assert complex(found.conjugate[0]) == 1 - 2j
        assert str(found.odd.tolist()) == "[nan, inf, -0.0]"


class SparseTensor(StateCase):
    """Sparse tensors: coordinates and compressed rows."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        dense = torch.tensor([[0.0, 2.0], [3.0, 0.0]])
        made.sparse, made.rows = dense.to_sparse(), quietly(dense.to_sparse_csr)
        return made

    def keep(self, found: Any, net: Any) -> None:
        dense = torch.tensor([[0.0, 2.0], [3.0, 0.0]])
        assert found.sparse.layout is torch.sparse_coo
        assert found.rows.layout is torch.sparse_csr
        same(found.sparse.to_dense(), dense)
        same(found.rows.to_dense(), dense)


class QuantizedTensor(StateCase):
    """Quantized tensors, per tensor and per channel."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        values = torch.tensor([[0.5, 1.0], [2.0, 3.0]])
        made.quantized = torch.quantize_per_tensor(values, 0.5, 2, torch.qint8)
        scales = torch.tensor([0.5, 0.25], dtype=torch.float64)
        made.channels = torch.quantize_per_channel(values, scales, torch.zeros(2, dtype=torch.int64), 0, torch.qint8)
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.quantized.q_scale() == 0.5
        assert found.quantized.int_repr().tolist() == [[3, 4], [6, 8]]
        assert found.channels.q_per_channel_scales().tolist() == [0.5, 0.25]


class DoubleModel(StateCase):
    """A model in float64, with one layer in float32."""

    probe = calls(drawn(3, 4, dtype="float64"))

    def make(self, net: Any) -> Any:
        made = fill(net.Net()).double()
        made.spare = nn.Linear(2, 2)
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.first.weight.dtype is torch.float64
        assert found.spare.weight.dtype is torch.float32


class HalfModel(StateCase):
    """A model in half precision."""

    def make(self, net: Any) -> Any:
        return fill(net.Net()).half()

    def keep(self, found: Any, net: Any) -> None:
        assert all(value.dtype is torch.float16 for value in found.parameters())
        assert_filled(found)


class TensorSubclass(StateCase):
    """A Tensor subclass of the user."""

    code = NET + "\nclass Marked(torch.Tensor):\n    pass\n"

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.marked = torch.ones(3).as_subclass(net.Marked)
        made.marked.note = "x"
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert type(found.marked) is net.Marked
        assert found.marked.note == "x"
        assert found.marked.tolist() == [1, 1, 1]
