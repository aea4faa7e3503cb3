"""Parameters, buffers, modes, hooks: what a state dict leaves out, stays as well."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from tests.with_torch.migration.case import NET, ROWS, Case, assert_filled, calls, drawn, fill, numbers, same


class StateCase(Case, abstract=True):
    kind = "parameters, buffers and modes"
    probe = ROWS


class HookCase(Case, abstract=True):
    kind = "hooks"
    probe = ROWS
    code = (
        NET
        + """
def scale(module, inputs, output):
    return output * 3
def shift(module, inputs):
    return (inputs[0] + 1,)
def gradient(module, inputs, outputs):
    return None
def keyword(module, args, kwargs, output):
    return output - 1
def saved(module, state, prefix, metadata):
    state[prefix + "extra"] = torch.ones(1)
def loading(state, prefix, *rest):
    state.pop(prefix + "extra", None)
class Recorder:
    def __init__(self):
        self.seen = ["before"]
    def forward(self, module, inputs, output):
        self.seen.append(type(module).__name__)
"""
    )


class ForwardHook(HookCase):
    """Forward and pre-hooks of the user's functions on torch's layers."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.first.register_forward_hook(net.scale)
        made.second.register_forward_pre_hook(net.shift)
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert list(found.first._forward_hooks.values()) == [net.scale]
        assert list(found.second._forward_pre_hooks.values()) == [net.shift]
        x = torch.ones(1, 4)
        same(found.first(x), 3 * nn.functional.linear(x, found.first.weight, found.first.bias))


class BoundMethodHook(HookCase):
    """A hook that is a bound method of an own object that the model holds."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.recorder = net.Recorder()
        made.first.register_forward_hook(made.recorder.forward)
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.recorder.seen == ["before"]
        found(torch.ones(1, 4))
        assert found.recorder.seen == ["before", "Linear"]


class OwnMethodHook(HookCase):
    """A hook that is a method of the model itself."""

    code = HookCase.code + "\nclass Own(Net):\n    def hook(self, module, inputs, output):\n        self.count = 1\n"

    def make(self, net: Any) -> Any:
        made = fill(net.Own())
        made.second.register_forward_hook(made.hook)
        return made

    def keep(self, found: Any, net: Any) -> None:
        (hook,) = found.second._forward_hooks.values()
        assert hook.__self__ is found


class KeywordHook(HookCase):
    """Hooks with keyword arguments, and in front of others."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.first.register_forward_hook(net.scale)
        made.first.register_forward_hook(net.keyword, with_kwargs=True, prepend=True)
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert list(found.first._forward_hooks.values()) == [net.keyword, net.scale]
        assert len(found.first._forward_hooks_with_kwargs) == 1


class BackwardHook(HookCase):
    """Full backward hooks."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.first.register_full_backward_hook(net.gradient)
        made.second.register_full_backward_pre_hook(net.gradient)
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert list(found.first._backward_hooks.values()) == [net.gradient]
        assert found.first._is_full_backward_hook is True
        assert list(found.second._backward_pre_hooks.values()) == [net.gradient]


class StateDictHooks(HookCase):
    """Hooks of state_dict and of load_state_dict."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made._register_state_dict_hook(net.saved)
        made._register_load_state_dict_pre_hook(net.loading)
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert "extra" in found.state_dict()
        found.load_state_dict(found.state_dict())


class OwnStateDict(StateCase):
    """A state_dict() of the class that leaves weights out."""

    code = NET + "\n".join(
        (
            "\nclass Part(Net):",
            "    def state_dict(self, *a, **k):",
            "        return {n: v for n, v in super().state_dict(*a, **k).items() if 'second' not in n}",
        )
    )

    def make(self, net: Any) -> Any:
        made = net.Part()
        with torch.no_grad():
            made.second.weight.copy_(numbers((4, 4), 5))
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert "second.weight" not in found.state_dict()
        same(found.second.weight.data, numbers((4, 4), 5))


class ParameterToTensor(StateCase):
    """A parameter turned into a plain tensor, and into a buffer."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        weight, bias = made.first.weight.data, made.second.bias.data
        del made.first.weight, made.second.bias
        made.first.weight = weight
        made.second.register_buffer("bias", bias)
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert "weight" in found.first.__dict__
        assert type(found.first.weight) is torch.Tensor
        assert list(dict(found.named_parameters())) == ["first.bias", "second.weight"]
        assert list(dict(found.named_buffers())) == ["second.bias"]


class BufferToParameter(StateCase):
    """A buffer turned into a parameter; a parameter put in by name; one that is None."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.register_buffer("scale", torch.ones(3))
        scale = made.scale
        del made.scale
        made.scale = nn.Parameter(scale, requires_grad=False)
        made.register_parameter("none", None)
        made.register_buffer("nothing", None)
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert type(found.scale) is nn.Parameter
        assert not found.scale.requires_grad
        assert found._parameters["none"] is None
        assert found._buffers["nothing"] is None


class NonPersistentBuffer(StateCase):
    """A buffer that is in no state dict, with a value of its own."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.register_buffer("table", numbers((3, 2), 8), persistent=False)
        return made

    def keep(self, found: Any, net: Any) -> None:
        same(found.table, numbers((3, 2), 8))
        assert "table" not in found.state_dict()
        assert found._non_persistent_buffers_set == {"table"}


class RequiresGrad(StateCase):
    """Frozen layers, and a plain tensor that asks for gradients."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.first.requires_grad_(False)
        made.extra = torch.ones(2, requires_grad=True)
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert [value.requires_grad for value in found.parameters()] == [False, False, True, True]
        assert found.extra.requires_grad


class TrainingFlags(StateCase):
    """train and eval, of one submodule other than of the model."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net()).eval()
        made.second.train()
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert [module.training for module in found.modules()] == [False, False, True]


class ChannelsLast(StateCase):
    """Convolution weights in channels_last."""

    probe = calls(drawn(1, 3, 5, 5))
    code = """
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
    def forward(self, x):
        return self.norm(self.conv(x))
"""

    def make(self, net: Any) -> Any:
        return fill(net.Net()).to(memory_format=torch.channels_last)

    def keep(self, found: Any, net: Any) -> None:
        assert found.conv.weight.stride() == (27, 1, 9, 3)
        assert found.conv.weight.is_contiguous(memory_format=torch.channels_last)
        assert_filled(found)


class ParameterAttributes(StateCase):
    """Attributes of parameters: a marker, a name."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.first.weight.no_decay = True
        made.first.bias.tags = ["a"]
        return made

    def save(self, made: Any, path: Any) -> None:
        # torch 2.0 pickles a parameter without them; the state of its __dict__ goes along where it is asked for
        torch.save({"model": made, "marked": {"first.weight": made.first.weight.__dict__}}, path)

    def keep(self, found: Any, net: Any) -> None:
        assert found["marked"] == {"first.weight": {"no_decay": True}}


class GradientsKept(StateCase):
    """Gradients that the user saved beside the parameters."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made(torch.ones(2, 4)).sum().backward()
        return {"model": made, "gradients": [value.grad for value in made.parameters()]}

    def keep(self, found: Any, net: Any) -> None:
        model = found["model"]
        model(torch.ones(2, 4)).sum().backward()
        for value, kept in zip(model.parameters(), found["gradients"]):
            assert torch.allclose(value.grad, kept)


def quietly(function: Any, *arguments: Any, **named: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **named)


class OldWeightNorm(StateCase):
    """weight_norm of the old kind, whose .weight is derived."""

    def make(self, net: Any) -> Any:
        made = net.Net()
        made.first = quietly(nn.utils.weight_norm, made.first)
        fill(made)
        made(torch.ones(1, 4))
        return made

    def keep(self, found: Any, net: Any) -> None:
        first = found.first
        assert [name for name, _ in first.named_parameters()] == ["bias", "weight_g", "weight_v"]
        (hook,) = first._forward_pre_hooks.values()
        assert type(hook).__name__ == "WeightNorm"
        asked = first.weight_v * (first.weight_g / first.weight_v.norm(dim=1, keepdim=True))
        assert torch.allclose(first.weight, asked, atol=1e-6)


class OldSpectralNorm(StateCase):
    """spectral_norm of the old kind, with its vectors."""

    def make(self, net: Any) -> Any:
        made = net.Net()
        made.first = quietly(nn.utils.spectral_norm, made.first, n_power_iterations=2)
        fill(made)
        return made.eval()

    def keep(self, found: Any, net: Any) -> None:
        assert_filled(found)
        (hook,) = found.first._forward_pre_hooks.values()
        assert hook.n_power_iterations == 2
        assert type(found.first.weight) is torch.Tensor


class Parametrized(StateCase):
    """The user's parametrization of a weight (its class is made by torch at run time)."""

    probe = None
    unprobed = "torch pickles no parametrized module; its parts need the module to run"
    code = NET + "\nclass Half(nn.Module):\n    def forward(self, x):\n        return x / 2\n"

    def make(self, net: Any) -> Any:
        made = net.Net()
        parametrize.register_parametrization(made.first, "weight", net.Half())
        fill(made)
        return {"state": made.state_dict(), "parametrizations": made.first.parametrizations}

    def keep(self, found: Any, net: Any) -> None:
        made = net.Net()
        parametrize.register_parametrization(made.first, "weight", net.Half())
        made.load_state_dict(found["state"])
        assert_filled(made)
        assert type(found["parametrizations"]["weight"]).__name__ == "ParametrizationList"


class NewWeightNorm(StateCase):
    """State of torch's own parametrizations (spectral, orthogonal)."""

    probe = None
    unprobed = "torch pickles no parametrized module; the file holds its state"

    def make(self, net: Any) -> Any:
        made = net.Net()
        parametrizations.spectral_norm(made.first)
        return fill(made).state_dict()

    def keep(self, found: Any, net: Any) -> None:
        made = net.Net()
        parametrizations.spectral_norm(made.first)
        made.load_state_dict(found)
        assert_filled(made)


class Pruned(StateCase):
    """Pruned weights: mask, original, and the hook that joins them."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        prune.l1_unstructured(made.first, "weight", amount=0.5)
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert int(found.first.weight_mask.sum()) == 8
        assert [name for name, _ in found.first.named_parameters()] == ["bias", "weight_orig"]
        (hook,) = found.first._forward_pre_hooks.values()
        assert type(hook).__name__ == "L1Unstructured"
        assert hook._tensor_name == "weight"


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


class ParameterContainers(StateCase):
    """ParameterList, ParameterDict, ModuleDict, nested."""

    code = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.list = nn.ParameterList([torch.ones(4), torch.ones(4)])
        self.dict = nn.ParameterDict({"a": torch.ones(4), "b": torch.ones(1)})
        self.modules_ = nn.ModuleDict({"x": nn.Linear(4, 4), "y": nn.ModuleList([nn.Linear(4, 4)])})
    def forward(self, x):
        return self.modules_["y"][0](self.modules_["x"](x) * self.list[1]) + self.dict["a"]
"""

    def make(self, net: Any) -> Any:
        return fill(net.Net())

    def keep(self, found: Any, net: Any) -> None:
        assert_filled(found)
        assert list(found.dict.keys()) == ["a", "b"]
        assert len(found.list) == 2
        assert list(found.modules_) == ["x", "y"]


class LayersSwapped(StateCase):
    """A layer added to and one swapped in a Sequential after construction."""

    code = NET + "\nclass Gate(nn.Module):\n    def forward(self, x):\n        return torch.sigmoid(x)\n"
    probe = ROWS

    def make(self, net: Any) -> Any:
        made = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Dropout(0.5))
        made[1] = net.Gate()
        made.add_module("last", nn.LayerNorm(4))
        del made[2]
        return fill(made)

    def keep(self, found: Any, net: Any) -> None:
        assert list(found._modules) == ["0", "1", "last"] or list(found._modules) == ["0", "1", "2"], found._modules
        assert type(found[1]) is net.Gate
        assert type(found[2]) is nn.LayerNorm
