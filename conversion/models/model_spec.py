"""What a recipe says about its models, as `models.json` brings it: frozen dataclasses and their parser.

The parser changes nothing and reports all mistakes at once, each with its place in the JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Mapping, Optional, Tuple, Union

from conversion.failures import SpecError, read_json
from conversion.models.probe_spec import Probe, parse_probe
from conversion.models.reader import Reader

SCHEMA = 2


@dataclass(frozen=True)
class Argument:
    """Where a constructor argument comes from: an attribute of the old module (dotted path), or a value."""

    attribute: Optional[str] = None
    value: Any = None


@dataclass(frozen=True)
class Tolerance:
    """How far outputs may differ, relative to each output's largest value; None keeps the rule of `parity`."""

    reason: str
    float64: Optional[float] = None
    float32: Optional[float] = None


@dataclass(frozen=True)
class ModelSet:
    """Model files that are carried over together.

    Attributes:
        name: the set's name in the recipe.
        files: globs of absolute paths.
        path: folders put in front of sys.path.
        needs: packages that loading and probing use (for the build graph, not used here).
        construct: arguments of own classes that are constructed because they can't be carried, by dotted name.
        probe: what is run in both environments; None: nothing, and `unprobed` says why.
    """

    name: str
    files: Tuple[str, ...]
    path: Tuple[str, ...] = ()
    needs: Tuple[str, ...] = ()
    construct: Mapping[str, Mapping[str, Argument]] = field(default_factory=dict)
    probe: Optional[Probe] = None
    unprobed: str = ""
    tolerance: Optional[Tolerance] = None


@dataclass(frozen=True)
class Specification:
    """All of ``models.json``.

    Attributes:
        released: globs of the distributions that the uplift may change.
        absent: distributions that rebuilding does without.
    """

    sets: Tuple[ModelSet, ...]
    released: Tuple[str, ...] = ()
    absent: Tuple[str, ...] = ()


_SET_KEYS = ("name", "files", "path", "needs", "construct", "probe", "unprobed", "tolerance")


def load(path: Union[str, Path]) -> Specification:
    """The specification in a file; see `parse`."""
    return parse(read_json(Path(path)))


def parse(raw: Any) -> Specification:
    """The specification in a JSON document.

    Raises:
        SpecError: something is wrong; its text lists every mistake with its place.
    """
    reader = Reader()
    document = reader.table(raw, "models", ("schema", "released", "absent", "sets"))
    if document.get("schema") != SCHEMA:
        reader.wrong("models.schema", f"must be {SCHEMA}, not {document.get('schema')!r}")
    sets = tuple(
        _model_set(reader, item, f"sets[{i}]") for i, item in enumerate(reader.items(document, "sets", "models"))
    )
    names = [item.name for item in sets]
    for name in sorted({n for n in names if names.count(n) > 1}):
        reader.wrong("models.sets", f"two sets are named {name!r}")
    found = Specification(
        sets=sets,
        released=reader.texts(document, "released", "models"),
        absent=reader.texts(document, "absent", "models"),
    )
    if reader.mistakes:
        raise SpecError("the model specification is wrong:\n  " + "\n  ".join(reader.mistakes))
    return found


def _model_set(reader: Reader, raw: Any, place: str) -> ModelSet:
    table = reader.table(raw, place, _SET_KEYS)
    if not table.get("files"):
        reader.wrong(f"{place}.files", "must name at least one file or glob")
    probe, unprobed = table.get("probe"), table.get("unprobed")
    if probe is None:
        reader.text(table, "unprobed", place, "must say why the models have no probe")
    elif unprobed:
        reader.wrong(f"{place}.unprobed", "gives a reason for no probe, and there is one")
    tolerance = table.get("tolerance")
    return ModelSet(
        name=reader.text(table, "name", place),
        files=reader.texts(table, "files", place),
        path=reader.texts(table, "path", place),
        needs=reader.texts(table, "needs", place),
        construct=_construct(reader, table, place),
        probe=None if probe is None else parse_probe(reader, probe, f"{place}.probe"),
        unprobed=unprobed if isinstance(unprobed, str) else "",
        tolerance=None if tolerance is None else _tolerance(reader, tolerance, f"{place}.tolerance"),
    )


def _construct(reader: Reader, table: Mapping[str, Any], place: str) -> Mapping[str, Mapping[str, Argument]]:
    found = {}
    for name, arguments in reader.mapping(table, "construct", place).items():
        here = f"{place}.construct.{name}"
        if "." not in name:
            reader.wrong(here, f"must be module.Class, not {name!r}")
        items = reader.table(arguments, here, None)
        found[name] = {key: _argument(reader, value, f"{here}.{key}") for key, value in items.items()}
    return found


def _argument(reader: Reader, raw: Any, place: str) -> Argument:
    table = reader.table(raw, place, ("attribute", "value"))
    if len(table) != 1:
        reader.wrong(place, "must have either 'attribute' or 'value'")
    if "attribute" in table:
        return Argument(attribute=reader.text(table, "attribute", place))
    return Argument(value=table.get("value"))


def _tolerance(reader: Reader, raw: Any, place: str) -> Tolerance:
    table = reader.table(raw, place, ("float64", "float32", "reason"))
    allowed = {key: _allowance(reader, table, key, place) for key in ("float64", "float32")}
    if allowed == {"float64": None, "float32": None}:
        reader.wrong(place, "must have 'float64' or 'float32'")
    return Tolerance(reason=reader.text(table, "reason", place), **allowed)


def _allowance(reader: Reader, table: Mapping[str, Any], key: str, place: str) -> Optional[float]:
    if table.get(key) is None:
        return None
    value = reader.number(table, key, place, None)
    if not 0 <= value < 1:
        reader.wrong(f"{place}.{key}", "is relative to the largest value: at least 0 and below 1")
    return float(value)
