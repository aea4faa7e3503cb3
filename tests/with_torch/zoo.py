"""Modules that compute in every way that tends to lose precision, or a device; each made from a seed, with its probe.

Their weights come from integers (`settled`): two versions of torch hold the same bits without a file between them.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - as everybody writes it
from torch import nn
from torch.utils.checkpoint import checkpoint

BATCH = {"shape": [2, 10, 16]}
IMAGE = {"shape": [2, 3, 12, 12]}


class Case(NamedTuple):
    """A way to make a module, and the calls of its probe."""

    make: Callable[[], Any]
    calls: list[dict[str, Any]]


def settled(module: Any) -> Any:
    """The module with weights that depend on nothing of torch's: a fixed pattern, small enough for deep networks."""
    number = 1
    with torch.no_grad():
        for tensor in [*module.parameters(), *module.buffers()]:
            if tensor.is_floating_point() or tensor.is_complex():
                count = tensor.numel()
                pattern = (torch.arange(count) * 7919 + number * 104729) % 2003
                values = (pattern.double() / 1001.0 - 1.0) / max(
                    1.0, math.sqrt(tensor.shape[-1] if tensor.dim() else 1)
                )
                tensor.copy_(values.reshape(tensor.shape))
                number += 1
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_var.abs_().add_(0.5)
    return module


class Norms(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(16, 32), nn.Linear(32, 16)
        self.layer, self.group, self.batch = nn.LayerNorm(32), nn.GroupNorm(4, 32), nn.BatchNorm1d(16)

    def forward(self, x):
        x = F.gelu(self.layer(self.first(x)))
        x = F.silu(self.group(x.transpose(1, 2)).transpose(1, 2))
        return torch.sigmoid(self.batch(self.last(x).transpose(1, 2))), torch.tanh(x).softmax(-1)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.MultiheadAttention(16, 4, batch_first=True)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2)
        self.decoder = nn.TransformerDecoderLayer(16, 4, 32, activation="gelu", batch_first=True)

    def forward(self, x):
        mask = torch.full((10, 10), float("-inf"), device="cuda", dtype=torch.float32).triu(1)
        padding = torch.zeros(2, 10, dtype=torch.bool)
        padding[:, 8:] = True
        attended, weights = self.heads(x, x, x, attn_mask=mask)
        parts = x.view(2, 10, 4, 4).transpose(1, 2)
        return {
            "attended": attended,
            "weights": weights,
            "encoded": self.encoder(x, src_key_padding_mask=padding),
            "decoded": self.decoder(x, x, tgt_mask=mask),
            "fused": F.scaled_dot_product_attention(parts, parts, parts, is_causal=True),
        }


class Transforms(nn.Module):
    def forward(self, x):
        spectrum = torch.fft.rfft(x)
        window = torch.hann_window(8, device="cuda")
        return (
            spectrum,
            torch.fft.irfft(spectrum * 2),
            torch.linalg.svdvals(x[0]),
            torch.stft(x.flatten(0, 1), 8, window=window, return_complex=True),
            torch.linalg.inv(x[0].mT @ x[0] + torch.eye(16)),
            torch.cdist(x, x),
        )


class Casts(nn.Module):
    """Asks for types and devices in every way that the language of torch has."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 16)
        self.device, self.dtype = "cuda:0", torch.float16
        self.place = torch.device("cuda", 0)

    def forward(self, x):
        position = torch.arange(x.shape[1], device="cuda").float() / 7
        total = torch.zeros(x.shape[1], dtype=torch.float32, device=self.device) + math.pi
        table = torch.tensor([0.1] * 16, dtype=torch.float32).cuda()
        legacy = torch.FloatTensor([0.1, 0.2]).sum() + torch.cuda.FloatTensor([0.3]).sum()
        hidden = self.linear(x.to(self.dtype).to(self.place)).type(torch.cuda.FloatTensor)
        like = torch.zeros_like(x, dtype=torch.float32) + x.new_full((16,), 1 / 3, dtype=torch.half)
        typed = x.type("torch.cuda.HalfTensor").half().float().to(torch.zeros(1).half())
        with torch.cuda.device(0), torch.device("cuda"):
            ramp = torch.linspace(0, 1, 16)
        torch.cuda.synchronize()
        scaled = (hidden + table + legacy + like) * position[None, :, None] + total[None, :, None].to("cuda")
        return scaled.exp().log(), torch.sin(typed.to(dtype=torch.float32, device="cuda")) * ramp.pin_memory()


class Half(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(10, 8, 3, padding=1), nn.LayerNorm(16)
        self.half()
        self.extra = [torch.linspace(0, 1, 16).bfloat16()]

    def forward(self, x):
        with torch.autocast("cpu", enabled=False):
            return self.norm(self.conv(x.half())) * self.extra[0].half()


class Mixed(nn.Module):
    """Automatic mixed precision as it is asked for on a card."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(16, 16), nn.Linear(16, 4)

    def forward(self, x):
        with torch.autocast("cuda", dtype=torch.float16):
            x = self.first(x)
        return self.last(x.float())


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 8, padding_idx=0)
        self.long = nn.LSTM(8, 8, 2, batch_first=True, bidirectional=True)
        self.gated, self.cell = nn.GRU(16, 4, batch_first=True), nn.LSTMCell(4, 4)
        self.runs = 0

    def forward(self, ids, lengths, *, mask=None, flag=True):
        self.runs += 1
        packed = nn.utils.rnn.pack_padded_sequence(self.words(ids), lengths, batch_first=True, enforce_sorted=False)
        packed, (hidden, cell) = self.long(packed)
        padded, counts = nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
        return packed, hidden, cell, self.cell(self.gated(padded)[0][:, 0]), counts, self.runs, flag, mask


@dataclasses.dataclass
class Result:
    logits: Any
    hidden: Any
    loss: Any = None


class ModelOutput(collections.OrderedDict):  # type: ignore[type-arg]  # no subscript on Python 3.8
    """As the large libraries have it: a dict whose entries are attributes too."""

    def __init__(self, **items: Any) -> None:
        super().__init__(**items)
        self.__dict__.update(items)


class Plain:
    __slots__ = ("inner", "score")

    def __init__(self, inner: Any, score: Any) -> None:
        self.inner, self.score = inner, score


Pair = collections.namedtuple("Pair", "left right")  # noqa: PYI024 - of the kind that has no types


class Shapes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, batch, *more, **named):
        y = self.linear(batch["x"])
        inner = ModelOutput(doubled=y * 2, sparse=torch.relu(y).to_sparse(), plain=Plain([y], float(y.sum())))
        rest = {"n": 3, "part": 0.5, "flag": True, "text": "words", "none": None, "all": {1, 2}}
        return Result(y, (Pair(y.argmax(-1), more), inner)), rest, (item for item in (y[0], named["k"][1]))

    def encode(self, x, count, edges):
        return torch.zeros_like(x).index_add_(0, edges[1], self.linear(x)[edges[0]])[:count]


class Images(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.depth = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, groups=8, dilation=2)
        self.up, self.norm = nn.ConvTranspose2d(8, 4, 2, 2), nn.InstanceNorm2d(4, affine=True)
        self.batch, self.act = nn.BatchNorm2d(8), nn.PReLU()

    def forward(self, x):
        y = self.up(F.adaptive_avg_pool2d(F.hardswish(self.batch(self.depth(self.act(self.conv(x))))), 4))
        grid = torch.stack(torch.meshgrid(*2 * [torch.linspace(-1, 1, 8).half().cuda()], indexing="ij"), -1)
        warped = F.grid_sample(self.norm(y), grid.float().expand(2, 8, 8, 2), align_corners=False)
        return F.interpolate(warped, scale_factor=1.5, mode="bicubic"), F.unfold(y, 3).logsumexp(1), F.mish(y)


@torch.jit.script
def scripted_gelu(x):
    return x * 0.5 * (1.0 + torch.tanh(0.79788456 * x * (1 + 0.044715 * x * x))) + torch.ones(1, dtype=torch.float32)


class Deep(nn.Module):
    """Derived weights, scripted functions, own autograd functions, checkpointing, vmap, buffers that change."""

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):  # noqa: ARG004 - torch gives it
            return x * x.float()

    def __init__(self) -> None:
        super().__init__()
        self.spectral = nn.utils.parametrizations.spectral_norm(nn.Linear(16, 16))
        self.normed = nn.utils.weight_norm(nn.Linear(16, 16))
        self.drop = nn.Dropout(0.5)
        self.hidden = [nn.Dropout(0.9)]
        self.register_buffer("state", torch.ones(16))

    def forward(self, x):
        x = self.hidden[0](self.drop(self.normed(self.spectral(x))))
        x = checkpoint(scripted_gelu, x, use_reentrant=False)
        self.state.mul_(0.9).add_(x.mean((0, 1)), alpha=0.1)
        mapped = torch.func.vmap(lambda row: F.softmax(row.float(), -1))(x)
        return self.Square.apply(x), mapped, self.state, torch.einsum("bij,bkj->bik", x, x)


class Numbers(nn.Module):
    """Order, indices and whole numbers."""

    def forward(self, x, edges, ids):
        values, places = x[0].topk(3, dim=-1)
        spread = torch.zeros(20, 16).index_add(0, edges[0], torch.ones(40, 16) / 3)
        return {
            "values": values, "places": places, "order": x.argsort(-1), "spread": spread.cumsum(0),
            "hot": F.one_hot(ids, 12), "counts": torch.bincount(ids, minlength=12), "unique": ids.unique(),
            "mean": torch.scatter_reduce(torch.zeros(12), 0, ids, torch.rand(len(ids)), "mean"),
            "nan": torch.log(x[0, 0] - 1), "least": torch.finfo(torch.float32).min * (x[0, 0] > 0).float(),
        }  # fmt: skip


class Complex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(16, 16, dtype=torch.complex64))

    def forward(self, x):
        y = torch.fft.fft(x.to(torch.complex64)) @ self.weight
        return y, y.abs(), torch.view_as_real(y).sum(-1), torch.polar(y.abs(), y.angle())


class Double(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 16).double()

    def forward(self, x):
        return self.linear(x.double()).exp().float()


class Prefers(nn.Module):
    """Sets what torch makes by default, as scripts at the top of a file do."""

    def forward(self, x):
        torch.set_default_dtype(torch.float32)
        torch.set_default_device("cuda")
        torch.set_default_tensor_type("torch.cuda.FloatTensor")
        return x * torch.linspace(0, 1, 16) + torch.tensor(0.1)


def _scripted() -> Any:
    return torch.jit.script(nn.Sequential(nn.Linear(16, 16), nn.LayerNorm(16), nn.GELU()))


def _quantized() -> Any:
    return torch.ao.quantization.quantize_dynamic(settled(nn.Sequential(nn.Linear(16, 16), nn.Sigmoid())), {nn.Linear})


def _of(kind: Callable[[], Any], *inputs: dict[str, Any]) -> tuple[str, Case]:
    return kind.__name__.lower(), Case(lambda: settled(kind()).train(), [{"inputs": list(inputs)}])


TOKENS = {"shape": [3, 7], "distribution": "integers", "high": 50}
LENGTHS = {"shape": [3], "distribution": "integers", "low": 1, "high": 8}
EDGES = {"shape": [2, 40], "distribution": "edges", "high": 20}
ROWS = {"shape": ["rows", 4], "dtype": "float16"}
CASES: dict[str, Case] = dict(
    [
        _of(Norms, BATCH),
        _of(Attention, BATCH),
        _of(Transforms, {"shape": [2, 8, 16]}),
        _of(Casts, {**BATCH, "scale": 0.1}),
        _of(Half, {**BATCH, "dtype": "float16"}),
        _of(Mixed, BATCH),
        _of(Images, IMAGE),
        _of(Deep, BATCH),
        _of(Numbers, BATCH, EDGES, {"shape": [30], "distribution": "integers", "high": 12, "dtype": "int64"}),
        _of(Complex, {**BATCH, "dtype": "complex64"}),
        _of(Double, BATCH),
        _of(Prefers, BATCH),
        _of(_scripted, BATCH),
    ]
)
CASES["quantized"] = Case(_quantized, [{"inputs": [BATCH]}])
CASES["recurrent"] = Case(
    lambda: settled(Recurrent()), 2 * [{"inputs": [TOKENS, LENGTHS, {"name": "flag", "value": False}]}]
)
CASES["shapes"] = Case(
    lambda: {"model": nn.DataParallel(settled(Shapes())), "ema": [settled(Shapes())], "epoch": 3},
    [
        {
            "inputs": [
                {"dict": {"x": {"shape": ["rows", 4]}}},
                {"shape": [2], "distribution": "booleans"},
                {"name": "k", "list": [{"value": None}, {"shape": [3], "distribution": "uniform", "dtype": "float64"}]},
            ]
        },
        {
            "method": "encode",
            "inputs": [ROWS, {"size": "rows"}, {**EDGES, "high": "rows"}],
        },
    ],
)
SIZES = {"rows": {"match": r"level(?P<level>\d)", "expression": "2 ** level + 1"}}
FILE = "/models/level3.pt"
