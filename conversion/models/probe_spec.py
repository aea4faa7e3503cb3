"""What a recipe says about a probe, as `models.json` brings it: frozen dataclasses and their parser."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

from conversion.failures import ConversionError
from conversion.models.reader import Reader
from conversion.models.sizes import Size, names_in

DISTRIBUTIONS = ("normal", "uniform", "integers", "booleans", "sphere", "zeros", "ones", "edges")
DTYPES = (
    "float32", "float64", "float16", "bfloat16", "complex64", "complex128",
    "uint8", "int8", "int16", "int32", "int64", "bool",
)  # fmt: skip
Number = Union[int, float]
Dimension = Union[int, str]  # a number, or the name of a size


@dataclass(frozen=True)
class Drawn:
    """A tensor of the probe.

    Attributes:
        shape: dimensions, each a number or the name of a size.
        distribution: one of `DISTRIBUTIONS`. "sphere" gives rows of length `scale`; "edges" gives a (2, E) index of
            nodes below `high`: a ring first, so that every node is reached, then random pairs.
        dtype: one of `DTYPES`.
        scale: factor on the values.
        low, high: the bounds of "uniform" (default 0 and 1), "integers" and "edges" (default of `low`: 0); `high`
            itself is not reached. A text names a size.
    """

    shape: Tuple[Dimension, ...]
    distribution: str = "normal"
    dtype: str = "float32"
    scale: float = 1.0
    low: Optional[Union[Number, str]] = None
    high: Optional[Union[Number, str]] = None


@dataclass(frozen=True)
class Given:
    """A plain argument: a number, a text, a flag, None; or a size, by its name."""

    value: Any = None
    size: Optional[str] = None


@dataclass(frozen=True)
class Nested:
    """A list, tuple or dict of inputs; ``keys`` are those of a dict."""

    kind: str
    items: Tuple["Input", ...]
    keys: Tuple[str, ...] = ()


Input = Union[Drawn, Given, Nested]


@dataclass(frozen=True)
class Call:
    """One call of a module: of itself, or of the method named; an input without a name is positional."""

    inputs: Tuple[Tuple[Optional[str], Input], ...]
    method: Optional[str] = None


@dataclass(frozen=True)
class Function:
    """A probe written in Python: ``def NAME(checkpoint, file)`` in the source; ``file`` is the name of its file."""

    name: str
    source: str
    file: str = "probes.py"


@dataclass(frozen=True)
class Probe:
    """The calls whose outputs the old and the new environment must agree on.

    Attributes:
        seed: of the inputs' values, and of torch's generator before each call.
        at: places of the checkpoint's modules that are called; empty: all outermost ones.
        sizes: named sizes, in the order in which they are found.
        calls: one after the other on the same module.
        function: in place of calls.
    """

    seed: int = 0
    at: Tuple[str, ...] = ()
    sizes: Mapping[str, Size] = field(default_factory=dict)
    calls: Tuple[Call, ...] = ()
    function: Optional[Function] = None


_PROBE_KEYS = ("seed", "at", "sizes", "calls", "function")
_TENSOR_KEYS = ("shape", "distribution", "dtype", "scale", "low", "high")
_INPUT_KINDS = ("shape", "value", "size", "list", "tuple", "dict")
_DEFAULT_DTYPES = {"integers": "int64", "edges": "int64", "booleans": "bool"}


def parse_probe(reader: Reader, raw: Any, place: str) -> Probe:
    """The probe in a JSON object; mistakes go to the reader."""
    table = reader.table(raw, place, _PROBE_KEYS)
    sizes: Dict[str, Size] = {}
    for name, value in reader.mapping(table, "sizes", place).items():
        sizes[name] = _size(reader, value, f"{place}.sizes.{name}", tuple(sizes))
    function = table.get("function")
    calls = table.get("calls")
    if (calls is None) == (function is None):
        reader.wrong(place, "must have either 'calls' or 'function'")
    elif function is None and (not isinstance(calls, list) or not calls):
        reader.wrong(f"{place}.calls", "must be a list of at least one call")
    return Probe(
        seed=int(reader.number(table, "seed", place, 0)),
        at=reader.texts(table, "at", place),
        sizes=sizes,
        calls=tuple(
            _call(reader, item, f"{place}.calls[{i}]", sizes)
            for i, item in enumerate(calls if isinstance(calls, list) else [])
        ),
        function=None if function is None else _function(reader, function, f"{place}.function"),
    )


def _function(reader: Reader, raw: Any, place: str) -> Function:
    table = reader.table(raw, place, ("name", "source", "file"))
    name, source = reader.text(table, "name", place), reader.text(table, "source", place)
    file = str(table.get("file") or "probes.py")
    if name and not name.isidentifier():
        reader.wrong(f"{place}.name", f"{name!r} is no name of a function")
    try:
        compile(source, file, "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reader.wrong(f"{place}.source", f"is no Python: {error}")
    return Function(name=name, source=source, file=file)


def _size(reader: Reader, raw: Any, place: str, before: Tuple[str, ...]) -> Size:
    if isinstance(raw, int) and not isinstance(raw, bool):
        if raw < 0:
            reader.wrong(place, "must not be negative")
        return Size(fixed=raw)
    table = reader.table(raw, place, ("match", "values", "expression", "files"))
    given = {key for key in ("match", "values", "expression", "files") if table.get(key) is not None}
    if given not in ({"match", "values"}, {"match", "expression"}, {"expression"}, {"files"}):
        reader.wrong(place, "must be a number, or have 'match' with 'values' or 'expression', 'expression' or 'files'")
        return Size()
    groups: Tuple[str, ...] = ()
    if "match" in given:
        try:
            groups = tuple(re.compile(reader.text(table, "match", place)).groupindex)
        except (re.error, RecursionError, OverflowError) as error:
            reader.wrong(f"{place}.match", f"is no regular expression: {error}")
            return Size()
    if "expression" in given:
        _check_expression(reader, reader.text(table, "expression", place), f"{place}.expression", (*before, *groups))
    return Size(
        match=table.get("match"),
        values=_numbers(reader, table, "values", place),
        expression=table.get("expression"),
        files=_numbers(reader, table, "files", place),
    )


def _check_expression(reader: Reader, text: str, place: str, known: Tuple[str, ...]) -> None:
    try:
        unknown = sorted(names_in(text) - set(known))
    except ConversionError as error:
        reader.wrong(place, str(error))
        return
    if unknown:
        named = ", ".join(known) or "none"
        reader.wrong(
            place, f"{', '.join(unknown)}: neither a named group of the match nor a size above; known: {named}"
        )


def _numbers(reader: Reader, table: Mapping[str, Any], key: str, place: str) -> Optional[Mapping[str, int]]:
    values = table.get(key)
    if values is None:
        return None
    if not isinstance(values, dict) or not values or not all(type(v) is int and v >= 0 for v in values.values()):
        reader.wrong(f"{place}.{key}", "must map texts to whole numbers that are not negative")
        return {}
    return values


def _call(reader: Reader, raw: Any, place: str, sizes: Mapping[str, Size]) -> Call:
    table = reader.table(raw, place, ("method", "inputs"))
    inputs: List[Tuple[Optional[str], Input]] = []
    for index, item in enumerate(reader.items(table, "inputs", place)):
        here = f"{place}.inputs[{index}]"
        name = item.get("name") if isinstance(item, dict) else None
        if name is not None and (not isinstance(name, str) or not name.isidentifier()):
            reader.wrong(f"{here}.name", f"{name!r} is no name of an argument")
        if name is None and any(before is not None for before, _ in inputs):
            reader.wrong(here, "an input without a name is positional and can't follow one with a name")
        if name is not None and any(before == name for before, _ in inputs):
            reader.wrong(f"{here}.name", f"two inputs are named {name!r}")
        inputs.append((name, _input(reader, item, here, sizes, ("name",))))
    method = table.get("method")
    if method is not None and not (isinstance(method, str) and method.isidentifier()):
        reader.wrong(f"{place}.method", f"{method!r} is no name of a method")
    return Call(inputs=tuple(inputs), method=method)


def _input(reader: Reader, raw: Any, place: str, sizes: Mapping[str, Size], also: Tuple[str, ...] = ()) -> Input:
    table = reader.table(raw, place, (*also, *_TENSOR_KEYS, "value", "size", "list", "tuple", "dict"))
    kinds = [kind for kind in _INPUT_KINDS if kind in table]
    if len(kinds) != 1:
        reader.wrong(place, f"must have one of {', '.join(_INPUT_KINDS)}, not {', '.join(kinds) or 'none'}")
        return Given()
    kind = kinds[0]
    if kind == "shape":
        return _drawn(reader, table, place, sizes)
    for key in _TENSOR_KEYS:
        if key in table:
            reader.wrong(f"{place}.{key}", f"has no meaning beside {kind!r}")
    if kind == "value":
        return _value(reader, table, place)
    if kind == "size":
        return Given(size=_named_size(reader, table["size"], f"{place}.size", sizes))
    inner = table[kind]
    if not isinstance(inner, dict if kind == "dict" else list):
        reader.wrong(f"{place}.{kind}", "must be an object of inputs" if kind == "dict" else "must be a list of inputs")
        return Given()
    pairs: List[Tuple[Any, Any]] = list(inner.items()) if isinstance(inner, dict) else list(enumerate(inner))
    items = tuple(_input(reader, item, f"{place}.{kind}[{key!r}]", sizes) for key, item in pairs)
    return Nested(kind=kind, items=items, keys=tuple(inner) if kind == "dict" else ())


def _value(reader: Reader, table: Mapping[str, Any], place: str) -> Given:
    value = table["value"]
    if not isinstance(value, (str, int, float, bool, type(None))):
        reader.wrong(f"{place}.value", f"must be a number, a text, true, false or null, not {value!r}")
        return Given()
    return Given(value=value)


def _named_size(reader: Reader, name: Any, place: str, sizes: Mapping[str, Size]) -> str:
    if not isinstance(name, str) or name not in sizes:
        known = f"; named sizes are {', '.join(sizes)}" if sizes else "; there are none"
        reader.wrong(place, f"{name!r} is no named size{known}")
        return ""
    return name


def _drawn(reader: Reader, table: Mapping[str, Any], place: str, sizes: Mapping[str, Size]) -> Drawn:
    shape = reader.items(table, "shape", place, "a list of whole numbers and names of sizes")
    for item in shape:
        if not (item in sizes if isinstance(item, str) else type(item) is int and item >= 0):
            known = f"; named sizes are {', '.join(sizes)}" if sizes else ""
            reader.wrong(f"{place}.shape", f"{item!r} is neither a whole number nor a named size{known}")
    distribution = table.get("distribution", "normal")
    if distribution not in DISTRIBUTIONS:
        reader.wrong(f"{place}.distribution", f"{distribution!r} is not known; known are {', '.join(DISTRIBUTIONS)}")
        distribution = "normal"
    dtype = table.get("dtype", _DEFAULT_DTYPES.get(distribution, "float32"))
    if dtype not in DTYPES:
        reader.wrong(f"{place}.dtype", f"{dtype!r} is not known; known are {', '.join(DTYPES)}")
    bounds = {key: _bound(reader, table, key, place, sizes) for key in ("low", "high")}
    if distribution in ("integers", "edges") and bounds["high"] is None:
        reader.wrong(f"{place}.high", f'missing; distribution = "{distribution}" gives whole numbers below it')
    if distribution not in ("integers", "edges", "uniform") and bounds != {"low": None, "high": None}:
        reader.wrong(place, f"low and high have no meaning for {distribution}")
    if distribution == "edges" and not (len(shape) == 2 and shape[0] == 2):  # noqa: PLR2004 - from, to
        reader.wrong(f"{place}.shape", "an index of edges has the shape [2, number of edges]")
    return Drawn(
        shape=tuple(shape),
        distribution=distribution,
        dtype=str(dtype),
        scale=reader.number(table, "scale", place, 1.0),
        low=bounds["low"],
        high=bounds["high"],
    )


def _bound(
    reader: Reader, table: Mapping[str, Any], key: str, place: str, sizes: Mapping[str, Size]
) -> Optional[Union[Number, str]]:
    value = table.get(key)
    if isinstance(value, str):
        return _named_size(reader, value, f"{place}.{key}", sizes) or None
    return None if value is None else reader.number(table, key, place, None)
