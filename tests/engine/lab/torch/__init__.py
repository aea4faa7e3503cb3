"""A stand-in for torch on numpy: enough to pickle, load, compare and run small modules on the CPU."""

import contextlib
import io as _io
import pickle as _pickle
import zipfile as _zipfile

import numpy as _np

from torch.version import __version__  # noqa: F401
from torch import version  # noqa: F401


class dtype:
    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"torch.{self.name}"

    def __reduce__(self):
        return (_dtype, (self.name,))


def _dtype(name):
    return globals()[name]


for _name in ("float16", "float32", "float64", "int32", "int64", "uint8", "bool", "complex128"):
    globals()[_name] = dtype(_name)
float, long = globals()["float32"], globals()["int64"]


class layout:
    def __repr__(self):
        return "torch.strided"


class memory_format:
    pass


strided = layout()
Size = type("Size", (tuple,), {})


class device:
    def __init__(self, name):
        self.type, _, index = str(name).partition(":")
        self.index = int(index) if index else None

    def __str__(self):
        return self.type if self.index is None else f"{self.type}:{self.index}"

    __repr__ = __str__

    def __eq__(self, other):
        return str(self) == str(other)

    def __hash__(self):
        return hash(str(self))


class Tensor:
    is_quantized = False
    layout = strided

    def __init__(self, array, requires_grad=False):
        self.array = _np.asarray(array)
        self.requires_grad = requires_grad

    def __getstate__(self):
        return {"array": self.array, "requires_grad": self.requires_grad}

    shape = property(lambda self: Size(self.array.shape))
    dtype = property(lambda self: globals()[self.array.dtype.name])
    device = property(lambda self: device("cpu"))

    def requires_grad_(self, flag=True):
        self.requires_grad = flag
        return self

    def detach(self):
        return Tensor(self.array)

    def clone(self):
        return type(self)(self.array.copy(), self.requires_grad)

    def cpu(self):
        return self

    def to(self, target):
        if isinstance(target, dtype):
            return Tensor(self.array.astype(target.name))
        if str(target).startswith("cuda"):
            raise RuntimeError("Found no NVIDIA driver on your system.")
        return self

    def copy_(self, other):
        self.array[...] = other.array
        return self

    def contiguous(self):
        return Tensor(_np.ascontiguousarray(self.array))

    resolve_conj = resolve_neg = cpu

    def reshape(self, *shape):
        return Tensor(self.array.reshape(*shape))

    def view(self, kind):
        return Tensor(self.array.view(kind.name))

    def is_complex(self):
        return self.array.dtype.kind == "c"

    def numel(self):
        return int(self.array.size)

    def abs(self):
        return Tensor(_np.abs(self.array))

    def isnan(self):
        return Tensor(_np.isnan(self.array))

    def any(self):
        return Tensor(self.array.any())

    def max(self):
        return Tensor(self.array.max())

    def mean(self, dim):
        return Tensor(self.array.mean(axis=dim, keepdims=True))

    def item(self):
        return self.array.item()

    def __float__(self):
        return self.array.item() * 1.0

    def __bool__(self):
        return self.array.item() is True or bool(self.array)

    def __len__(self):
        return len(self.array)

    def __getitem__(self, key):
        return Tensor(self.array[_raw(key)])

    def __matmul__(self, other):
        return Tensor(self.array @ _raw(other))

    def _binary(name):  # noqa: N805
        def method(self, other):
            return Tensor(getattr(self.array, name)(_raw(other)))

        return method

    __add__, __sub__, __mul__ = _binary("__add__"), _binary("__sub__"), _binary("__mul__")
    __eq__, __and__, __or__ = _binary("__eq__"), _binary("__and__"), _binary("__or__")
    __hash__ = object.__hash__
    T = property(lambda self: Tensor(self.array.T))

    def tanh(self):
        return Tensor(_np.tanh(self.array))


_plain = bool  # the builtin is shadowed by the dtype below


def _raw(value):
    if isinstance(value, tuple):
        return tuple(_raw(item) for item in value)
    return value.array if isinstance(value, Tensor) else value


def tensor(values, dtype=None):
    array = _np.array(values)
    if dtype is None and array.dtype == _np.float64:
        dtype = float
    return Tensor(array if dtype is None else array.astype(dtype.name))


def from_numpy(array):
    return Tensor(array)


def arange(count):
    return Tensor(_np.arange(count))


def equal(one, other):
    return one.array.shape == other.array.shape and (one.array == other.array).all().item()


def where(condition, one, other):
    return Tensor(_np.where(condition.array, one.array, other.array))


def zeros_like(one):
    return Tensor(_np.zeros_like(one.array))


def view_as_real(one):
    return Tensor(one.array.view("float64"))


_random = _np.random.RandomState(0)


def manual_seed(seed):
    _random.seed(seed)


def randn(*shape):
    return Tensor(_random.standard_normal(shape).astype("float32"))


def get_num_threads():
    return 1


def set_num_threads(_count):
    pass


@contextlib.contextmanager
def no_grad():
    yield


def save(value, file):
    buffer = _io.BytesIO()
    with _zipfile.ZipFile(buffer, "w") as archive:
        entry = _zipfile.ZipInfo("archive/data.pkl", (1980, 1, 1, 0, 0, 0))
        archive.writestr(entry, _pickle.dumps(value, protocol=2))
        archive.writestr(_zipfile.ZipInfo("archive/version", (1980, 1, 1, 0, 0, 0)), "3\n")
    if hasattr(file, "write"):
        file.write(buffer.getvalue())
    else:
        with open(file, "wb") as opened:
            opened.write(buffer.getvalue())


class _WeightsOnly(_pickle.Unpickler):
    def find_class(self, module, name):
        if module.partition(".")[0] not in ("torch", "numpy", "collections"):
            raise _pickle.UnpicklingError(f"Weights only load failed: Unsupported global: GLOBAL {module}.{name}")
        return super().find_class(module, name)


def load(file, map_location=None, weights_only=version.WEIGHTS_ONLY):
    if not hasattr(file, "read"):
        with open(file, "rb") as opened:
            return load(_io.BytesIO(opened.read()), map_location, weights_only)
    with _zipfile.ZipFile(file) as archive:
        content = _io.BytesIO(archive.read("archive/data.pkl"))
    return (_WeightsOnly if weights_only else _pickle.Unpickler)(content).load()


class _C:
    @staticmethod
    def _cuda_getArchFlags():
        return version.ARCHS


from torch import nn  # noqa: E402, F401
