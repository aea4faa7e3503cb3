"""Hooks stay hooks: of the user's functions and of bound methods of objects that the file holds."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from tests.with_torch.migration.case import NET, ROWS, Case, fill, same


class HookCase(Case, abstract=True):
    kind = "hooks"
    probe: ClassVar[dict[str, Any] | None] = ROWS
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
