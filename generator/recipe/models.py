"""``[models]``: which pickled models are carried over, and the probe that proves that they still compute the same.

The classes hold the shape of what is written; what it means is checked by the parser that reads it in the containers
(``conversion.models.model_spec``), so that nothing is refused only there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, WithJsonSchema

from conversion.failures import SpecError
from conversion.models import model_spec, probe_spec
from generator.recipe.section import AbsolutePath, Name, NonEmpty, Section, matches

if TYPE_CHECKING:
    from collections.abc import Iterator

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")

Dotted = Annotated[str, matches(_DOTTED, "a dotted Python name")]
Identifier = Annotated[str, matches(_IDENTIFIER, "a Python name")]
Numbers = Annotated[dict[NonEmpty, int], Field(min_length=1)]
Bound = int | float | NonEmpty


class Argument(Section):
    """Where a constructor argument comes from: an attribute of the old module, or a value given here."""

    attribute: Dotted | None = None
    value: str | int | float | bool | None = None


class ProbeSize(Section):
    """A size that depends on the model's file: by globs (``files``), or by what a regular expression finds in its path.

    What is found is looked up in ``values``, or its named groups are put into ``expression``: whole numbers, + - * // %
    ** and parentheses; the sizes listed before may be named too.
    """

    match: NonEmpty | None = None
    values: Numbers | None = None
    expression: NonEmpty | None = None
    files: Numbers | None = None


class ProbeInput(Section):
    """One argument of a call: a tensor (``shape``), a plain ``value``, ``none``, a ``size``, or several inputs at once.

    With ``name`` it is given by keyword, else by place. ``distribution`` and ``dtype`` say what a tensor holds; ``low``
    and ``high`` bound whole or uniform numbers and may name a size; rows of a "sphere" have the length ``scale``.
    """

    name: Identifier | None = None
    shape: Annotated[tuple[NonEmpty | int, ...] | None, Field(strict=False)] = None
    distribution: Literal[probe_spec.DISTRIBUTIONS] | None = None  # type: ignore[valid-type]  # the names stand there
    dtype: Literal[probe_spec.DTYPES] | None = None  # type: ignore[valid-type]  # the same
    scale: float | None = None
    low: Bound | None = None
    high: Bound | None = None
    value: str | int | float | bool | None = None
    none: Literal[True] | None = None
    size: NonEmpty | None = None
    list_: Annotated[tuple[ProbeInput, ...] | None, Field(alias="list", strict=False)] = None
    tuple_: Annotated[tuple[ProbeInput, ...] | None, Field(alias="tuple", strict=False)] = None
    dict_: Annotated[dict[str, ProbeInput] | None, Field(alias="dict")] = None


class ProbeCall(Section):
    """One call of the model, or of the method named."""

    method: Identifier | None = None
    inputs: Annotated[tuple[ProbeInput, ...], Field(strict=False)] = ()


class ProbeFunction(Section):
    """A probe in Python: the text of its file, which was read from beside the recipe."""

    of_lines: ClassVar[tuple[str, ...]] = ("source",)

    name: NonEmpty
    source: str
    file: NonEmpty


_FUNCTION_SCHEMA = {"type": "string", "pattern": r"^[^:]+\.py:[A-Za-z_]\w*$"}


class Probe(Section):
    """The calls that the old and the new environment both run: ``inputs`` for one, ``calls``, or a ``function``.

    ``at`` names the checkpoint's modules that are called ("model", "ema.0"); without it all outermost ones are.
    ``function`` is written "probes.py:probe": ``def probe(checkpoint, file)`` in a file beside the recipe.
    """

    seed: Annotated[int, Field(ge=0)] = 0
    at: Annotated[tuple[NonEmpty, ...], Field(strict=False)] = ()
    sizes: dict[Identifier, int | ProbeSize] = Field(default_factory=dict)
    inputs: Annotated[tuple[ProbeInput, ...], Field(min_length=1, strict=False)] | None = None
    calls: Annotated[tuple[ProbeCall, ...], Field(min_length=1, strict=False)] | None = None
    function: Annotated[ProbeFunction, WithJsonSchema(_FUNCTION_SCHEMA)] | None = None


class Tolerance(Section):
    """How far outputs may differ, relative to each one's largest value; the reason stands in every report."""

    float64: Annotated[float, Field(gt=0, lt=1)] | None = None
    float32: Annotated[float, Field(gt=0, lt=1)] | None = None
    reason: NonEmpty


class ModelSet(Section):
    """Pickled models that are carried over together; ``unprobed`` says why there is no probe, where there is none.

    ``path`` are folders that their code needs on ``sys.path``, ``needs`` the extensions that loading and the probe use.
    ``construct`` is the exception: own classes whose code changed, by name, with their constructor's arguments.
    """

    files: Annotated[tuple[AbsolutePath, ...], Field(min_length=1, strict=False)]
    path: Annotated[tuple[AbsolutePath, ...], Field(strict=False)] = ()
    needs: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    construct_: dict[Dotted, dict[Identifier, Argument]] = Field(default_factory=dict, alias="construct")
    probe: Probe | None = None
    unprobed: NonEmpty | None = None
    tolerance: Tolerance | None = None


def as_json(name: str, models: ModelSet) -> dict[str, Any]:
    """Give a set as ``models.json`` holds it."""
    return {
        "name": name,
        "files": list(models.files),
        "path": list(models.path),
        "needs": list(models.needs),
        "construct": {
            class_name: {key: origin.model_dump(exclude_unset=True) for key, origin in arguments.items()}
            for class_name, arguments in models.construct_.items()
        },
        "probe": _probe(models.probe) if models.probe else None,
        **({"unprobed": models.unprobed} if models.unprobed else {}),
        "tolerance": models.tolerance.model_dump(exclude_none=True) if models.tolerance else None,
    }


def _probe(probe: Probe) -> dict[str, Any]:
    calls: dict[str, Any] = {}
    if probe.calls is not None:
        calls["calls"] = [
            {**({"method": call.method} if call.method else {}), "inputs": [_input(entry) for entry in call.inputs]}
            for call in probe.calls
        ]
    if probe.inputs is not None:
        calls.setdefault("calls", []).append({"inputs": [_input(entry) for entry in probe.inputs]})
    if probe.function is not None:
        calls["function"] = probe.function.model_dump()
    return {
        "seed": probe.seed,
        **({"at": list(probe.at)} if probe.at else {}),
        "sizes": {
            name: size if isinstance(size, int) else size.model_dump(exclude_none=True)
            for name, size in probe.sizes.items()
        },
        **calls,
    }


def _input(entry: ProbeInput) -> dict[str, Any]:
    plain = entry.model_dump(exclude_none=True, exclude={"none", "list_", "tuple_", "dict_"})
    if entry.shape is not None:
        plain["shape"] = list(entry.shape)
    if entry.none:
        plain["value"] = None
    for kind, inner in (("list", entry.list_), ("tuple", entry.tuple_)):
        if inner is not None:
            plain[kind] = [_input(item) for item in inner]
    if entry.dict_ is not None:
        plain["dict"] = {key: _input(item) for key, item in entry.dict_.items()}
    return plain


def mistakes(name: str, models: ModelSet) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """List what is wrong in one set beyond its shape: the path of the key, and the message."""
    probe = models.probe
    if probe is not None and probe.inputs is not None and probe.calls is not None:
        yield ("models", name, "probe", "inputs"), f'models.{name}.probe: give "inputs" or "calls", not both'
        return
    if probe is not None and probe.function is not None:
        for key in sorted({"at", "sizes"} & probe.model_fields_set):
            yield ("models", name, "probe", key), f"models.{name}.probe.{key}: a function does without it: remove it"
    if probe is None and models.tolerance is not None:
        yield ("models", name, "tolerance"), f"models.{name}.tolerance: nothing is held against it without a probe"
    document = {"schema": model_spec.SCHEMA, "sets": [as_json(name, models)]}
    try:
        model_spec.parse(document)
    except SpecError as error:
        for line in str(error).splitlines()[1:]:
            place, _, message = line.strip().partition(": ")
            keys = _recipe_keys(place, short=probe is not None and probe.inputs is not None)
            yield ("models", name, *keys), f"models.{'.'.join((name, *keys))}: {message}"


def _recipe_keys(place: str, *, short: bool) -> tuple[str, ...]:
    """Give the keys of a recipe for a place of the JSON; ``short``: its one call is written without ``calls``."""
    inner = place.removeprefix("sets[0]").removeprefix(".")
    if short:
        inner = inner.replace("probe.calls[0].inputs", "probe.inputs", 1)
    return tuple(part for part in re.sub(r"\[(\d+)\]", r".\1", inner).split(".") if part)
