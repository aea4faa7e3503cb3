"""What a recipe says about its models, as `models.json` brings it: frozen dataclasses and their parser.

The parser changes nothing and reports all mistakes at once, each with its place in the JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

from conversion.failures import SpecError

DISTRIBUTIONS = ("normal", "uniform", "sphere", "integers", "zeros", "ones")
DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "bool")


@dataclass(frozen=True)
class Argument:
    """Where a constructor argument comes from: an attribute of the old module (dotted path), or a value."""

    attribute: Optional[str] = None
    value: Any = None


@dataclass(frozen=True)
class Size:
    """A dimension of the probe: a number, or one looked up by an attribute of the module."""

    fixed: Optional[int] = None
    attribute: Optional[str] = None
    values: Optional[Mapping[str, int]] = None


@dataclass(frozen=True)
class ProbeInput:
    """One argument of the probe's forward call.

    Attributes:
        name: the name of forward's parameter.
        shape: dimensions, each a number or the name of a `Size`.
        distribution: one of `DISTRIBUTIONS`; "sphere" gives rows of length `scale`.
        scale: factor on the values (for "integers": the values are below it).
        dtype: one of `DTYPES`.
    """

    name: str
    shape: Tuple[Union[int, str], ...]
    distribution: str = "normal"
    scale: float = 1.0
    dtype: str = "float32"


@dataclass(frozen=True)
class Probe:
    """The forward call whose outputs old and new environment must agree on."""

    seed: int
    sizes: Mapping[str, Size]
    inputs: Tuple[ProbeInput, ...]


@dataclass(frozen=True)
class Tolerance:
    """The largest absolute difference of an output that still passes, and why it may differ at all."""

    absolute: float
    reason: str


@dataclass(frozen=True)
class ModelSet:
    """Model files that one class made.

    Attributes:
        name: the set's name in the recipe.
        files: globs of absolute paths.
        path: folders put in front of sys.path.
        class_name: dotted name of the module's class.
        key: the module's key in the checkpoint; None where the checkpoint is the module.
        constructor: arguments that aren't read from the attribute of their own name.
        stubs: modules that are stand-ins while the module is rebuilt.
        cpu_defaults: modules whose CUDA default arguments become CPU.
        needs: packages that construction and forward use (for the build graph, not used here).
        restore: globs of attribute names taken from the old module though the constructor makes them
        otherwise.
        probe: the forward call to compare; None compares no outputs.
        tolerance: None asks for bitwise equal outputs.
    """

    name: str
    files: Tuple[str, ...]
    path: Tuple[str, ...]
    class_name: str
    key: Optional[str]
    constructor: Mapping[str, Argument]
    stubs: Tuple[str, ...] = ()
    cpu_defaults: Tuple[str, ...] = ()
    needs: Tuple[str, ...] = ()
    restore: Tuple[str, ...] = ()
    probe: Optional[Probe] = None
    tolerance: Optional[Tolerance] = None


class _Reader:
    """Takes typed values out of the JSON and keeps a list of what is wrong."""

    def __init__(self) -> None:
        self.mistakes: List[str] = []

    def wrong(self, place: str, text: str) -> None:
        self.mistakes.append(f"{place}: {text}")

    def table(self, raw: Any, place: str, allowed: Tuple[str, ...]) -> Dict[str, Any]:
        if not isinstance(raw, dict):
            self.wrong(place, f"must be an object, not {type(raw).__name__}")
            return {}
        for key in raw:
            if key not in allowed:
                self.wrong(f"{place}.{key}", f"unknown key; known are {', '.join(allowed)}")
        return raw

    def text(self, raw: Mapping[str, Any], key: str, place: str) -> str:
        value = raw.get(key)
        if not isinstance(value, str) or not value:
            self.wrong(f"{place}.{key}", f"must be a string, not {value!r}")
            return ""
        return value

    def texts(self, raw: Mapping[str, Any], key: str, place: str) -> Tuple[str, ...]:
        value = raw.get(key) or []
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            self.wrong(f"{place}.{key}", f"must be a list of strings, not {value!r}")
            return ()
        return tuple(value)

    def number(self, raw: Mapping[str, Any], key: str, place: str, default: Optional[float]) -> float:
        value = raw.get(key, default)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            self.wrong(f"{place}.{key}", f"must be a number, not {value!r}")
            return 0.0
        return value


def parse(raw: Any) -> Tuple[ModelSet, ...]:
    """The model sets of a `models.json` document.

    Raises:
        SpecError: something is wrong; its text lists every mistake with its place.
    """
    reader = _Reader()
    document = reader.table(raw, "models", ("sets",))
    sets = document.get("sets", [])
    if not isinstance(sets, list):
        reader.wrong("models.sets", "must be a list")
        sets = []
    parsed = tuple(_model_set(reader, item, f"sets[{i}]") for i, item in enumerate(sets))
    names = [item.name for item in parsed]
    for name in sorted({n for n in names if names.count(n) > 1}):
        reader.wrong("models.sets", f"two sets are named {name!r}")
    if reader.mistakes:
        raise SpecError("the model specification is wrong:\n  " + "\n  ".join(reader.mistakes))
    return parsed


def load(path: Path) -> Tuple[ModelSet, ...]:
    """The model sets in a file; see `parse`."""
    return parse(read_json(path))


def read_json(path: Path) -> Any:
    """A JSON document; a `SpecError` names the file where it can't be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SpecError(f"can't read {path}: {error}") from error


_SET_KEYS = (
    "name", "files", "path", "class", "key", "constructor", "stubs", "cpu_defaults", "needs", "restore",
    "probe", "tolerance",
)  # fmt: skip


def _model_set(reader: _Reader, raw: Any, place: str) -> ModelSet:
    table = reader.table(raw, place, _SET_KEYS)
    key = table.get("key")
    if key is not None and not isinstance(key, str):
        reader.wrong(f"{place}.key", f"must be a string or null, not {key!r}")
    if not table.get("files"):
        reader.wrong(f"{place}.files", "must name at least one file or glob")
    class_name = reader.text(table, "class", place)
    if class_name and "." not in class_name:
        reader.wrong(f"{place}.class", f"must be module.Class, not {class_name!r}")
    arguments = table.get("constructor") or {}
    if not isinstance(arguments, dict):
        reader.wrong(f"{place}.constructor", "must be an object")
        arguments = {}
    return ModelSet(
        name=reader.text(table, "name", place),
        files=reader.texts(table, "files", place),
        path=reader.texts(table, "path", place),
        class_name=class_name,
        key=key,
        constructor={k: _argument(reader, v, f"{place}.constructor.{k}") for k, v in arguments.items()},
        stubs=reader.texts(table, "stubs", place),
        cpu_defaults=reader.texts(table, "cpu_defaults", place),
        needs=reader.texts(table, "needs", place),
        restore=reader.texts(table, "restore", place),
        probe=_optional(_probe, reader, table.get("probe"), f"{place}.probe"),
        tolerance=_optional(_tolerance, reader, table.get("tolerance"), f"{place}.tolerance"),
    )


def _optional(parser: Callable[[_Reader, Any, str], Any], reader: _Reader, raw: Any, place: str) -> Any:
    return None if raw is None else parser(reader, raw, place)


def _argument(reader: _Reader, raw: Any, place: str) -> Argument:
    table = reader.table(raw, place, ("attribute", "value"))
    if len(table) != 1:
        reader.wrong(place, "must have either 'attribute' or 'value'")
    if "attribute" in table:
        return Argument(attribute=reader.text(table, "attribute", place))
    return Argument(value=table.get("value"))


def _tolerance(reader: _Reader, raw: Any, place: str) -> Tolerance:
    table = reader.table(raw, place, ("absolute", "reason"))
    absolute = reader.number(table, "absolute", place, None)
    if absolute < 0:
        reader.wrong(f"{place}.absolute", "must not be negative")
    return Tolerance(absolute=absolute, reason=reader.text(table, "reason", place))


def _probe(reader: _Reader, raw: Any, place: str) -> Probe:
    table = reader.table(raw, place, ("seed", "sizes", "inputs"))
    raw_sizes = table.get("sizes") or {}
    if not isinstance(raw_sizes, dict):
        reader.wrong(f"{place}.sizes", "must be an object")
        raw_sizes = {}
    sizes = {name: _size(reader, value, f"{place}.sizes.{name}") for name, value in raw_sizes.items()}
    raw_inputs = table.get("inputs")
    if not isinstance(raw_inputs, list) or not raw_inputs:
        reader.wrong(f"{place}.inputs", "must be a list of at least one input")
        raw_inputs = []
    inputs = tuple(_input(reader, item, f"{place}.inputs[{i}]", sizes) for i, item in enumerate(raw_inputs))
    return Probe(seed=int(reader.number(table, "seed", place, 0)), sizes=sizes, inputs=inputs)


def _size(reader: _Reader, raw: Any, place: str) -> Size:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return Size(fixed=raw)
    table = reader.table(raw, place, ("attribute", "values"))
    values = table.get("values")
    if values is not None and (
        not isinstance(values, dict) or not all(type(v) is int and v > 0 for v in values.values())
    ):
        reader.wrong(f"{place}.values", "must map the attribute's values to positive whole numbers")
        values = None
    return Size(attribute=reader.text(table, "attribute", place), values=values)


def _input(reader: _Reader, raw: Any, place: str, sizes: Mapping[str, Size]) -> ProbeInput:
    table = reader.table(raw, place, ("name", "shape", "distribution", "scale", "dtype"))
    shape = table.get("shape")
    if not isinstance(shape, list):
        reader.wrong(f"{place}.shape", "must be a list of whole numbers and names of sizes")
        shape = []
    for item in shape:
        if not (item in sizes if isinstance(item, str) else type(item) is int and item >= 0):
            known = f"; named sizes are {', '.join(sizes)}" if sizes else ""
            reader.wrong(f"{place}.shape", f"{item!r} is neither a whole number nor a named size{known}")
    distribution = table.get("distribution", "normal")
    if distribution not in DISTRIBUTIONS:
        known = ", ".join(DISTRIBUTIONS)
        reader.wrong(f"{place}.distribution", f"{distribution!r} is not known; known are {known}")
    dtype = table.get("dtype", "int64" if distribution == "integers" else "float32")
    if dtype not in DTYPES:
        reader.wrong(f"{place}.dtype", f"{dtype!r} is not known; known are {', '.join(DTYPES)}")
    return ProbeInput(
        name=reader.text(table, "name", place),
        shape=tuple(shape),
        distribution=distribution,
        scale=reader.number(table, "scale", place, 1.0),
        dtype=dtype,
    )
