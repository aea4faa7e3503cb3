"""Runs code that asks for a card on the CPU, and lets double precision reach all that it computes.

Two of torch's own means do it. A function mode sees every call that Python code makes of torch: there CUDA devices
become the CPU, and types become wider. A dispatch mode, for float64 alone, sees every operation below that, also those
that torch's own Python and C++ code asks for: there a narrow type that came from elsewhere (an array, a constant) is
widened. torch before 1.13 has neither; there a device named by code is not changed.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import torch

try:
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode
except ImportError:  # torch before 1.13
    TorchFunctionMode = TorchDispatchMode = None

Types = Dict[Any, Any]
_CUDA = re.compile(r"cuda(:\d+)?")
_LEGACY = re.compile(r"torch\.(?:cuda\.)?(?P<kind>[A-Z]\w*Tensor)")
_NARROW = ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz")
_CASTS = {"half": "float16", "bfloat16": "bfloat16", "float": "float32", "cfloat": "complex64", "chalf": "complex32"}
_TENSOR_KINDS = {"FloatTensor": "float32", "HalfTensor": "float16", "BFloat16Tensor": "bfloat16"}
# They look at a type, or at the bits, and compute nothing.
_KEEP_TYPES = ("can_cast", "promote_types", "result_type", "is_floating_point", "view")
# They bring in numbers that torch has not computed.
_FROM_OUTSIDE = ("from_numpy", "tensor", "as_tensor", "frombuffer", "from_dlpack")


def wider(precision: Optional[str]) -> Types:
    """What each type of tensor becomes: half precision float32; for "float64" every one float64, or complex128."""
    target = {None: None, "float32": "float32", "float64": "float64"}[precision]
    if target is None:
        return {}
    single = target == "float32"
    names = dict.fromkeys(_NARROW if single else (*_NARROW, "float32"), target)
    names.update({"complex32": "complex64"} if single else {"complex32": "complex128", "complex64": "complex128"})
    return {getattr(torch, old): getattr(torch, new) for old, new in names.items() if hasattr(torch, old)}


def names_cuda(value: Any) -> bool:
    """Whether a value is a CUDA device, or the name of one."""
    if isinstance(value, torch.device):
        return bool(value.type == "cuda")
    return isinstance(value, str) and _CUDA.fullmatch(value) is not None


@contextlib.contextmanager
def on_cpu(precision: Optional[str] = None) -> Iterator[None]:
    """Within it, CUDA devices that code names are the CPU; may be nested.

    Args:
        precision: "float32": half precision becomes float32. "float64": all floating types, and the default one,
            become float64. None: types stay.
    """
    types = wider(precision)
    default = torch.get_default_dtype()
    with contextlib.ExitStack() as stack:
        stack.callback(torch.set_default_dtype, default)
        if precision == "float64":
            torch.set_default_dtype(torch.float64)
        stack.enter_context(_replaced(_replacements(types)))
        if TorchFunctionMode is not None:
            stack.enter_context(_Changed(types, devices=True))
            if precision == "float64":
                stack.enter_context(_Wider(types))
        yield


@contextlib.contextmanager
def on_card() -> Iterator[None]:
    """Within it, half precision that code asks for is float32, as in ``on_cpu("float32")``; devices stay."""
    with contextlib.nullcontext() if TorchFunctionMode is None else _Changed(wider("float32"), devices=False):
        yield


if TorchFunctionMode is not None:

    class _Changed(TorchFunctionMode):  # type: ignore[misc]  # torch is not installed where this is checked
        """Changes what Python code hands to torch."""

        def __init__(self, types: Types, *, devices: bool) -> None:
            super().__init__()
            self.types = types
            self.devices = devices

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name = getattr(func, "__name__", "")
            tensor = args[0] if args and isinstance(args[0], torch.Tensor) else None
            if tensor is not None and self.devices and name in ("cuda", "pin_memory"):
                return tensor
            if tensor is not None and getattr(torch, _CASTS.get(name, ""), None) in self.types:
                return tensor.to(self.types[getattr(torch, _CASTS[name])])
            # The name of a device is a text anywhere in these calls, elsewhere only under its keyword.
            anywhere = name in ("to", "type")
            changed = [self.change(value, name, texts=anywhere) for value in args]
            named = {
                key: self.change(value, name, texts=anywhere or key in ("device", "dtype"))
                for key, value in (kwargs or {}).items()
            }
            if self.devices and named.get("pin_memory"):
                named["pin_memory"] = False
            result = func(*changed, **named)
            return _widened(result, self.types) if name in _FROM_OUTSIDE else result

        def change(self, value: Any, name: str, *, texts: bool) -> Any:
            """An argument as it is handed on; ``texts``: one that is a text may name a device or a type."""
            if isinstance(value, torch.dtype):
                return value if name in _KEEP_TYPES else self.types.get(value, value)
            if not self.devices:
                return value
            if names_cuda(value) and (texts or isinstance(value, torch.device)):
                return "cpu" if isinstance(value, str) else torch.device("cpu")
            if texts and isinstance(value, (str, type)):
                spelt = value if isinstance(value, str) else f"{value.__module__}.{value.__name__}"
                legacy = _LEGACY.fullmatch(spelt)
                return _legacy(legacy["kind"], self.types) if legacy else value
            return value

    class _Wider(TorchDispatchMode):  # type: ignore[misc]  # torch is not installed where this is checked
        """Changes what operations are handed: no narrow tensor takes part in one, but where it is written to."""

        def __init__(self, types: Types) -> None:
            super().__init__()
            self.types = types

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            schema = getattr(func, "_schema", None)  # an operation of higher order has none
            name = "" if schema is None else schema.name.rpartition("::")[2]
            bits = name == "view" and any(isinstance(value, torch.dtype) for value in args)
            if schema is None or bits or name in _PLAIN:
                return func(*args, **(kwargs or {}))
            if schema.name.startswith(("quantized::", "aten::quantize_per_")):  # they know single precision alone
                narrow = {key: _narrowed(value) for key, value in (kwargs or {}).items()}
                return _widened(func(*map(_narrowed, args), **narrow), self.types)
            if name in _RANDOM:
                return self.draw(func, schema, args, kwargs or {})
            written = _written(schema)
            changed = [value if index in written else self.change(value, name) for index, value in enumerate(args)]
            named = {
                key: value if key in written else self.change(value, name) for key, value in (kwargs or {}).items()
            }
            return func(*changed, **named)

        def draw(self, func: Any, schema: Any, args: Any, kwargs: Dict[str, Any]) -> Any:
            """Random numbers as single precision draws them: a generator gives others for doubles."""
            changed = [_narrowed(value) for value in args]
            named = {key: _narrowed(value) for key, value in kwargs.items()}
            makes = any(argument.name == "dtype" for argument in schema.arguments)
            if makes and named.get("dtype") is None and not any(isinstance(value, torch.Tensor) for value in args):
                named["dtype"] = torch.float32  # otherwise it is the default one, which is float64
            if not schema.is_mutable:
                return _widened(func(*changed, **named), self.types)
            func(*changed, **named)
            written, drawn = (kwargs["out"], named["out"]) if "out" in kwargs else (args[0], changed[0])
            return written.copy_(drawn)

        def change(self, value: Any, name: str) -> Any:
            """An argument with its types widened."""
            if isinstance(value, torch.Tensor):
                return value if name == "copy_" else _widened(value, self.types)
            if isinstance(value, (list, tuple)) and any(isinstance(item, torch.Tensor) for item in value):
                return type(value)(self.change(item, name) for item in value)
            return self.types.get(value, value) if isinstance(value, torch.dtype) else value


# Operations that draw from a generator.
_RANDOM = (
    "rand", "rand_like", "randn", "randn_like", "normal", "normal_", "normal_functional", "uniform", "uniform_",
    "bernoulli", "bernoulli_", "exponential", "exponential_", "log_normal", "log_normal_", "cauchy", "cauchy_",
    "geometric", "geometric_", "random", "random_", "multinomial", "poisson", "binomial", "_standard_gamma",
)  # fmt: skip
# Operations that hand a tensor on as it is; to widen what they are given would cut the tie to it.
_PLAIN = ("detach", "alias", "set_", "resize_", "lift_fresh")


def _written(schema: Any) -> Tuple[Any, ...]:
    """Places and names of the arguments that an operation writes to."""
    found: List[Any] = []
    for index, argument in enumerate(schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            found.extend((index, argument.name))
    return tuple(found)


def _narrowed(value: Any) -> Any:
    narrow = {torch.float64: torch.float32, torch.complex128: torch.complex64}
    if isinstance(value, torch.Tensor):
        return value.to(narrow.get(value.dtype, value.dtype))
    return narrow.get(value, value) if isinstance(value, torch.dtype) else value


def _widened(value: Any, types: Types) -> Any:
    if isinstance(value, torch.Tensor) and value.dtype in types:
        return value.to(types[value.dtype])
    return value


def _legacy(kind: str, types: Types) -> Any:
    """The type of a legacy class's tensors; its name where types stay as they are."""
    dtype = getattr(torch, _TENSOR_KINDS.get(kind, ""), None)
    return types.get(dtype, f"torch.{kind}")


def _replacements(types: Types) -> Iterator[Tuple[Any, str, Any]]:
    """What is another for the time: owner, name, stand-in."""

    def nothing(*_: Any, **__: Any) -> None:
        pass

    for name in ("synchronize", "set_device", "empty_cache"):
        yield torch.cuda, name, nothing
    yield torch.cuda, "current_device", lambda: 0
    yield torch.cuda, "device", _NoDevice
    for owner in (torch, torch.cuda):
        for kind in ("FloatTensor", "HalfTensor", "BFloat16Tensor", "DoubleTensor", "LongTensor", "IntTensor",
                     "ShortTensor", "CharTensor", "ByteTensor", "BoolTensor"):  # fmt: skip
            dtype = getattr(torch, _TENSOR_KINDS.get(kind, ""), None)
            wide = {torch.float64: "DoubleTensor", torch.float32: "FloatTensor"}.get(types.get(dtype), kind)
            if (owner is torch.cuda or wide != kind) and hasattr(torch, wide):
                yield owner, kind, getattr(torch, wide)
    yield from _defaults(types)


def _defaults(types: Types) -> Iterator[Tuple[Any, str, Any]]:
    def unless_cuda(real: Callable[[Any], None]) -> Callable[[Any], None]:
        return lambda device: None if names_cuda(device) else real(device)

    if hasattr(torch, "set_default_device"):
        yield torch, "set_default_device", unless_cuda(torch.set_default_device)
    real_dtype, real_type = torch.set_default_dtype, torch.set_default_tensor_type
    yield torch, "set_default_dtype", lambda dtype: real_dtype(types.get(dtype, dtype))

    def set_type(kind: Any) -> None:
        name = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__name__}"
        legacy = _LEGACY.fullmatch(name)
        dtype = getattr(torch, _TENSOR_KINDS.get(legacy["kind"], "") if legacy else "", None)
        if dtype is not None:
            real_dtype(types.get(dtype, dtype))
        else:
            real_type(kind.replace("torch.cuda.", "torch.") if isinstance(kind, str) else kind)

    yield torch, "set_default_tensor_type", set_type


class _NoDevice:
    """Stands in for ``torch.cuda.device`` where there is no card."""

    def __init__(self, *_: Any) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def _replaced(changes: Iterator[Tuple[Any, str, Any]]) -> Iterator[None]:
    """Put stand-ins in place, and what was there back at the end."""
    missing = object()
    before = []
    for owner, name, stand_in in list(changes):
        before.append((owner, name, vars(owner).get(name, missing)))
        setattr(owner, name, stand_in)
    try:
        yield
    finally:
        for owner, name, value in reversed(before):
            delattr(owner, name) if value is missing else setattr(owner, name, value)
