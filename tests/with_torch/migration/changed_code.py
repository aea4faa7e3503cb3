"""Code that changed since the file was made, and code that can't be imported."""

from __future__ import annotations

from typing import Any

from tests.with_torch.migration.case import (
    NET,
    fill,
)
from tests.with_torch.migration.code import CodeCase


class ReadsArguments(CodeCase):
    """Code that parses sys.argv when it is imported."""

    code = (
        "import argparse, sys\nif not getattr(sys, 'corpus', False):\n"
        "    parser = argparse.ArgumentParser()\n    parser.add_argument('--data', required=True)\n"
        "    parser.parse_args()\n" + NET
    )
    outcome = "refused"
    reason = "SystemExit: 2"
    note = "the code asks for arguments on import and ends the process: nothing can be loaded without them"


class ConstructedAnew(CodeCase):
    """Code that changed since: made by the recipe's constructor arguments."""

    outcome = "constructed"
    note = "the class moved its layers: state and arguments as the recipe says"
    code = (
        "import torch\nfrom torch import nn\nclass Net(nn.Module):\n    def __init__(self, width):\n"
        "        super().__init__()\n        self.layer = nn.Linear(width, width)\n"
        "    def forward(self, x):\n        return self.layer(x)\n"
    )
    later = (
        "import torch\nfrom torch import nn\nclass Net(nn.Module):\n    def __init__(self, width):\n"
        "        super().__init__()\n        self.width = width\n        self.layer = nn.Linear(width, width)\n"
        "    def forward(self, x):\n        return self.layer(x) * (self.width / self.width)\n"
    )
    construct = {"net.Net": {"width": {"attribute": "layer.in_features"}}}

    def make(self, net: Any) -> Any:
        return fill(net.Net(4))

    def keep(self, found: Any, net: Any) -> None:
        super().keep(found, net)
        assert found.width == 4


class ChangedUnasked(CodeCase):
    """Code that changed since, and no recipe says how to construct it."""

    code = ConstructedAnew.code
    later = ConstructedAnew.later
    outcome = "refused"
    reason = "width"
    note = "the new forward reads an attribute that the old file lacks"

    def make(self, net: Any) -> Any:
        return fill(net.Net(4))


class ClassGone(CodeCase):
    """A class that the code no longer has."""

    later = NET.replace("class Net", "class Other")
    outcome = "refused"
    reason = "Net"
    note = "nothing of that name is in the new code"


class OtherFunction(CodeCase):
    """Code whose forward computes something else since."""

    later = NET.replace("torch.relu", "torch.tanh")
    outcome = "refused"
    reason = "float64"
    note = "same object, another function: told by the probe"
