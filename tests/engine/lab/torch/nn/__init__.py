"""Modules of the stand-in."""

from collections import OrderedDict

import torch


class Parameter(torch.Tensor):
    def __init__(self, array, requires_grad=True):
        super().__init__(array.array if isinstance(array, torch.Tensor) else array, requires_grad)


class Module:
    def __init__(self):
        self.__dict__.update(
            training=True,
            _parameters=OrderedDict(),
            _buffers=OrderedDict(),
            _non_persistent_buffers_set=set(),
            _modules=OrderedDict(),
            _forward_hooks=OrderedDict(),
            _forward_pre_hooks=OrderedDict(),
            _backward_hooks=OrderedDict(),
        )

    def __setattr__(self, name, value):
        table = "_parameters" if isinstance(value, Parameter) else "_modules" if isinstance(value, Module) else None
        if table:
            self.__dict__[table][name] = value
        else:
            self.__dict__[name] = value

    def __getattr__(self, name):
        for table in ("_parameters", "_modules", "_buffers"):
            if name in self.__dict__.get(table, ()):
                return self.__dict__[table][name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __call__(self, *args, **kwargs):
        return self.forward(*args, **kwargs)

    def named_modules(self, prefix=""):
        yield prefix, self
        for name, part in self._modules.items():
            yield from part.named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self):
        return (part for _, part in self.named_modules())

    def named_parameters(self):
        for prefix, part in self.named_modules():
            for name, value in part._parameters.items():
                yield (f"{prefix}.{name}" if prefix else name), value

    def parameters(self):
        return (value for _, value in self.named_parameters())

    def train(self, mode=True):
        for part in self.modules():
            part.training = mode
        return self

    def eval(self):
        return self.train(False)

    def state_dict(self, keep_vars=False):
        state = OrderedDict((name, value if keep_vars else value.detach()) for name, value in self.named_parameters())
        state._metadata = OrderedDict((name, {"version": 1}) for name, _ in self.named_modules())
        return state

    def load_state_dict(self, state, strict=True):
        own = dict(self.named_parameters())
        if strict and set(own) != set(state):
            raise RuntimeError(f"keys differ: {sorted(set(own) ^ set(state))}")
        for name, value in own.items():
            value.copy_(state[name])


class Linear(Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(torch.randn(out_features, in_features) * 0.1)
        self.bias = Parameter(torch.randn(out_features) * 0.1)

    def forward(self, x):
        return x @ self.weight.T + self.bias
