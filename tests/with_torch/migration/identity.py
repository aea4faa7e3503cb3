"""What is the same object, or shares memory, stays so: weights, modules, keys, optimizers."""

from __future__ import annotations

import weakref
from typing import Any, ClassVar

import torch
from torch import nn

from tests.with_torch.migration.case import NET, ROWS, Case, assert_filled, fill, same


class IdentityCase(Case, abstract=True):
    kind = "identity and sharing"
    probe: ClassVar[dict[str, Any] | None] = ROWS


class TiedWeights(IdentityCase):
    """Two layers with one weight."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.second.weight = made.first.weight
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.second.weight is found.first.weight
        assert len(list(found.parameters())) == 3


class AliasedModule(IdentityCase):
    """A submodule under two names, and in a plain list."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.alias = made.first
        made.listed = [made.second, made.first]
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.alias is found.first
        assert found.listed[0] is found.second
        assert found.listed[1] is found.first


class TwoKeysOneModule(IdentityCase):
    """Two keys of the checkpoint that hold one module."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        return {"model": made, "best_model": made}

    def keep(self, found: Any, net: Any) -> None:
        assert found["model"] is found["best_model"]
        assert_filled(found["model"])


class TwoKeysShareAParameter(IdentityCase):
    """Two models of the checkpoint that share one layer."""

    def make(self, net: Any) -> Any:
        one, two = fill(net.Net()), net.Net()
        two.first = one.first
        return {"generator": one, "discriminator": fill(two)}

    def keep(self, found: Any, net: Any) -> None:
        assert found["generator"].first is found["discriminator"].first
        assert found["generator"].second is not found["discriminator"].second


class EqualButTwo(IdentityCase):
    """Equal values that are two objects stay two."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.lists = [[1], [1]]
        made.first.weight.data.fill_(0.5)
        made.second.weight.data.fill_(0.5)
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.lists[0] is not found.lists[1]
        assert found.first.weight.data_ptr() != found.second.weight.data_ptr()


def trained(model: Any, optimizer: Any) -> Any:
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.ones(2, 4)).square().sum().backward()
        optimizer.step()
    optimizer.zero_grad()
    return optimizer


class OptimizerBesideModel(IdentityCase):
    """Adam that holds the model's parameters, with its moments."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        return {"optimizer": trained(made, torch.optim.Adam(made.parameters(), lr=0.01)), "model": made}

    def keep(self, found: Any, net: Any) -> None:
        mine = list(found["model"].parameters())
        group = found["optimizer"].param_groups[0]
        assert all(a is b for a, b in zip(group["params"], mine))
        assert len(found["optimizer"].state) == 4
        state = found["optimizer"].state[mine[0]]
        assert float(state["step"]) == 2
        assert state["exp_avg"].abs().sum() > 0
        before = mine[0].detach().clone()
        trained(found["model"], found["optimizer"])
        assert not torch.equal(before, mine[0])


class SgdWithScheduler(IdentityCase):
    """SGD with momentum, and a scheduler that holds it."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        optimizer = torch.optim.SGD(made.parameters(), lr=0.1, momentum=0.9)
        return {
            "model": made,
            "optimizer": trained(made, optimizer),
            "lr": torch.optim.lr_scheduler.StepLR(optimizer, 3),
        }

    def save(self, made: Any, path: Any) -> None:
        # a scheduler replaces optimizer.step by a closure that can't be pickled: people delete it
        made["optimizer"].__dict__.pop("step", None)
        super().save(made, path)

    def keep(self, found: Any, net: Any) -> None:
        assert found["lr"].optimizer is found["optimizer"]
        assert found["lr"].step_size == 3
        assert found["optimizer"].param_groups[0]["params"][0] is found["model"].first.weight
        assert found["optimizer"].param_groups[0]["momentum"] == 0.9


class TwoParameterGroups(IdentityCase):
    """AdamW with two groups of parameters, of settings of their own."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        groups = [{"params": made.first.parameters(), "lr": 0.5}, {"params": [made.second.bias], "name": "bias"}]
        return {"model": made, "optimizer": torch.optim.AdamW(groups, lr=0.25, weight_decay=0.125)}

    def keep(self, found: Any, net: Any) -> None:
        one, two = found["optimizer"].param_groups
        assert (one["lr"], two["lr"], two["name"], two["weight_decay"]) == (0.5, 0.25, "bias", 0.125)
        assert two["params"][0] is found["model"].second.bias


class OptimizerInModel(IdentityCase):
    """An optimizer that is an attribute of the model that it trains."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.optimizer = torch.optim.RMSprop(made.parameters(), lr=0.125)
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.optimizer.param_groups[0]["params"][1] is found.first.bias
        assert found.optimizer.param_groups[0]["lr"] == 0.125


class Cycle(IdentityCase):
    """Objects that hold each other, a list that holds itself."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        loop: list[Any] = [1]
        loop.append(loop)
        made.loop = loop
        made.table = {"owner": {"list": loop}}
        made.table["self"] = made.table
        made.__dict__["owner"] = made  # an attribute of a module that is no submodule
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.loop[1] is found.loop
        assert found.table["self"] is found.table
        assert found.table["owner"]["list"] is found.loop
        assert found.__dict__["owner"] is found


class ParentPointer(IdentityCase):
    """A child that knows its parent through an object."""

    code = NET + "\nclass Handle:\n    def __init__(self, owner):\n        self.owner = owner\n"

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.first.handle = net.Handle(made)
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.first.handle.owner is found


class ViewsOfAWeight(IdentityCase):
    """Views of a weight, with offset and strides, in the same memory."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.row = made.first.weight.data[1]
        made.turned = made.first.weight.data.t()
        return made

    def keep(self, found: Any, net: Any) -> None:
        weight = found.first.weight.data
        assert found.row.data_ptr() == weight[1].data_ptr()
        assert found.turned.stride() == (1, 4)
        weight[1, 2] = 99
        assert found.row[2] == 99
        assert found.turned[2, 1] == 99


class FlatParameter(IdentityCase):
    """All weights as pieces of one flat buffer."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        flat = torch.cat([value.data.reshape(-1) for value in made.parameters()])
        start = 0
        for value in made.parameters():
            value.data = flat[start : start + value.numel()].view(value.shape)
            start += value.numel()
        made.flat = flat
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert len({value.untyped_storage().data_ptr() for value in found.parameters()}) == 1
        found.flat.zero_()
        assert all(not value.any() for value in found.parameters())


class ExpandedTensor(IdentityCase):
    """An expanded tensor (stride 0), a part of a large storage."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.wide = torch.ones(1, 4).expand(1000, 4)
        made.part = torch.arange(1000.0)[10:14]
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.wide.stride() == (0, 1)
        assert found.part.storage_offset() == 10
        assert found.part.untyped_storage().nbytes() == 4000


class TwoTypesOneStorage(IdentityCase):
    """A buffer and a parameter of one storage; a detached alias of a weight."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.register_buffer("mirror", made.first.weight.detach())
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.mirror.data_ptr() == found.first.weight.data_ptr()
        assert type(found.mirror) is torch.Tensor


class EmaBeside(IdentityCase):
    """An EMA copy, a discriminator and the best model beside the model."""

    def make(self, net: Any) -> Any:
        made, ema = fill(net.Net()), net.Net()
        with torch.no_grad():
            for value in ema.parameters():
                value.fill_(0.125)
        shadow = {name: value.data for name, value in ema.named_parameters()}
        return {"model": made, "ema": [ema, shadow], "discriminator": nn.Sequential(nn.Linear(4, 1)), "best": 0.5}

    def keep(self, found: Any, net: Any) -> None:
        assert_filled(found["model"])
        ema, shadow = found["ema"]
        assert all((value == 0.125).all() for value in ema.parameters())
        assert shadow["first.weight"].data_ptr() == ema.first.weight.data_ptr()
        assert type(found["discriminator"][0]) is nn.Linear


class SwaModel(IdentityCase):
    """torch.optim.swa_utils.AveragedModel around the model."""

    code = NET + "\ndef average(old, new, count):\n    return old + (new - old) / (count + 1)\n"

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        averaged = torch.optim.swa_utils.AveragedModel(made, avg_fn=net.average)
        averaged.update_parameters(made)
        return {"model": made, "averaged": averaged}

    def keep(self, found: Any, net: Any) -> None:
        assert_filled(found["averaged"].module)
        assert int(found["averaged"].n_averaged) == 1
        assert found["averaged"].avg_fn is net.average
        assert found["averaged"].module is not found["model"]


class SetOfObjects(IdentityCase):
    """A set of modules and of own objects; the same are attributes."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.frozen = {made.first}
        made.both = frozenset([made.first, made.second])
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.frozen == {found.first}
        assert found.both == {found.first, found.second}


class ModuleAsKey(IdentityCase):
    """Modules and parameters as keys of a dict."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.scale = {made.first: 0.5, made.second.bias: "bias"}
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.scale[found.first] == 0.5
        assert found.scale[found.second.bias] == "bias"


class WeakKeys(IdentityCase):
    """An own class that keeps weak references out of its state."""

    code = (
        NET
        + """
import weakref
class Watch:
    def __init__(self, owner):
        self.owner, self.seen = owner, weakref.ref(owner)
    def __getstate__(self):
        return {"owner": self.owner}
    def __setstate__(self, state):
        self.__init__(state["owner"])
"""
    )

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        return {"model": made, "watch": net.Watch(made.first)}

    def keep(self, found: Any, net: Any) -> None:
        assert isinstance(found["watch"].seen, weakref.ref)
        assert found["watch"].seen() is found["model"].first


class SharedTensorInLists(IdentityCase):
    """One index tensor in several lists of tuples."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        index = torch.arange(6).flip(0)
        made.pools = [(index, torch.ones(2)), (index, None)]
        made.again = {"index": index}
        return made

    def keep(self, found: Any, net: Any) -> None:
        index = found.pools[0][0]
        same(index, torch.arange(5, -1, -1))
        assert found.pools[1][0] is index
        assert found.again["index"] is index
        assert type(found.pools[0]) is tuple
