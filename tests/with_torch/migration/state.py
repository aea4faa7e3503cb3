"""Parameters, buffers, modes, hooks: what a state dict leaves out, stays as well."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from tests.with_torch.migration.case import NET, ROWS, Case, assert_filled, calls, drawn, fill, numbers, same


class StateCase(Case, abstract=True):
    kind = "parameters, buffers and modes"
    probe: ClassVar[dict[str, Any] | None] = ROWS


class OwnStateDict(StateCase):
    """A state_dict() of the class that leaves weights out."""

    code = (
        NET
        + """
class Part(Net):
    def state_dict(self, *a, **k):
        return {n: v for n, v in super().state_dict(*a, **k).items() if 'second' not in n}
"""
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

    def keep(self, found: Any, net: Any) -> None:
        assert found.first.weight.no_decay is True
        assert found.first.bias.tags == ["a"]


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
