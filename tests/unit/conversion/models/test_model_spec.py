"""What `models.json` says: parsed as a whole, or refused with every mistake and its place; sizes from a file's path."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion.failures import ConversionError, SpecError
from conversion.models import model_spec, probe_spec, sizes

LEVEL = {"match": r"fsaverage(?P<level>\d)", "expression": "10 * 4 ** level + 2"}
PROBE: dict[str, Any] = {
    "seed": 904,
    "at": ["model", "ema.0"],
    "sizes": {
        "vertices": LEVEL,
        "edges": {"expression": "6 * vertices"},
        "width": {"files": {"*/small/*": 4, "*": 8}},
        "heads": {"match": "([lr]h)_", "values": {"lh": 1, "rh": 2}},
        "two": 2,
    },
    "calls": [
        {
            "inputs": [
                {"shape": ["vertices", "two"]},
                {"shape": [2, "edges"], "distribution": "edges", "high": "vertices"},
                {"name": "options", "dict": {"mask": {"shape": [3], "distribution": "booleans"}, "k": {"value": None}}},
                {"name": "n", "size": "vertices"},
            ]
        },
        {"method": "encode", "inputs": [{"list": [{"shape": [1], "distribution": "integers", "high": 5}]}]},
    ],
}
SET: dict[str, Any] = {
    "name": "sugar",
    "files": ["/opt/model/*/*.model"],
    "path": ["/opt/code"],
    "needs": ["torch-scatter"],
    "construct": {"net.Net": {"width": {"attribute": "layers.0.in_features"}, "scale": {"value": None}}},
    "probe": PROBE,
    "tolerance": {"float32": 1e-4, "reason": "a test"},
}


def document(**changes: Any) -> dict[str, Any]:
    return {"schema": 2, "released": ["torch", "nvidia-*"], "absent": ["pytorch3d"], "sets": [{**SET, **changes}]}


def test_a_whole_specification() -> None:
    found = model_spec.parse(document())
    assert (found.released, found.absent) == (("torch", "nvidia-*"), ("pytorch3d",))
    (models,) = found.sets
    assert models.construct["net.Net"]["width"] == model_spec.Argument(attribute="layers.0.in_features")
    assert models.construct["net.Net"]["scale"] == model_spec.Argument()
    assert models.tolerance == model_spec.Tolerance(reason="a test", float32=1e-4)
    assert models.probe is not None
    first, second = models.probe.calls
    assert first.inputs[0] == (None, probe_spec.Drawn(("vertices", "two")))
    assert first.inputs[1][1].dtype == "int64"  # type: ignore[union-attr]
    assert first.inputs[2][0] == "options"
    assert first.inputs[3] == ("n", probe_spec.Given(size="vertices"))
    assert second.method == "encode"


def test_the_least_that_a_set_needs() -> None:
    (models,) = model_spec.parse(
        {"schema": 2, "sets": [{"name": "a", "files": ["/a"], "unprobed": "weights alone"}]}
    ).sets
    assert (models.probe, models.unprobed, models.construct) == (None, "weights alone", {})


def test_a_function_in_place_of_calls() -> None:
    function = {"name": "probe", "source": "def probe(checkpoint, file):\n    return checkpoint\n"}
    (models,) = model_spec.parse(document(probe={"function": function})).sets
    assert models.probe is not None
    assert models.probe.function == probe_spec.Function(**function)


def with_input(**entry: Any) -> dict[str, Any]:
    return {"probe": {"sizes": {"n": 3}, "calls": [{"inputs": [entry]}]}}


def with_size(**size: Any) -> dict[str, Any]:
    return {"probe": {"sizes": {"n": size}, "calls": [{"inputs": []}]}}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown key": ({"class": "net.Net"}, "sets[0].class: unknown key; known are name, files"),
    "files": ({"files": []}, "sets[0].files: must name at least one"),
    "list": ({"needs": "pytorch3d"}, "sets[0].needs: must be a list of strings"),
    "class": ({"construct": {"Net": {}}}, "sets[0].construct.Net: must be module.Class"),
    "both": ({"construct": {"a.B": {"a": {"value": 1, "attribute": "b"}}}}, "construct.a.B.a: must have either"),
    "no reason": ({"tolerance": {"float32": 1e-6}}, "sets[0].tolerance.reason: must be a string"),
    "no number": ({"tolerance": {"reason": "a"}}, "must have 'float64' or 'float32'"),
    "too much": ({"tolerance": {"float64": 1, "reason": "a"}}, "at least 0 and below 1"),
    "no probe": ({"probe": None}, "sets[0].unprobed: must say why the models have no probe"),
    "both kinds": ({"unprobed": "why"}, "sets[0].unprobed: gives a reason for no probe, and there is one"),
    "no calls": ({"probe": {}}, "sets[0].probe: must have either 'calls' or 'function'"),
    "empty": ({"probe": {"calls": []}}, "sets[0].probe.calls: must be a list of at least one"),
    "size": (with_input(shape=["rows"]), "'rows' is neither a whole number nor a named size; named sizes are n"),
    "distribution": (with_input(shape=[1], distribution="z"), "'z' is not known"),
    "dtype": (with_input(shape=[1], dtype="int3"), "'int3' is not known"),
    "no bound": (with_input(shape=[1], distribution="integers"), ".high: missing"),
    "bound": (with_input(shape=[1], distribution="normal", high=3), "low and high have no meaning for normal"),
    "edges": (with_input(shape=[3, 4], distribution="edges", high=3), "has the shape [2, number of edges]"),
    "two kinds": (with_input(shape=[1], value=2), "must have one of shape, value, size, list, tuple, dict"),
    "beside": (with_input(value=2, dtype="bool"), ".dtype: has no meaning beside 'value'"),
    "value": (with_input(value=[1]), "must be a number, a text, true, false or null"),
    "named size": (with_input(size="m"), "'m' is no named size; named sizes are n"),
    "nested": (with_input(list=[{"shape": ["m"]}]), "inputs[0].list[0].shape: 'm' is neither"),
    "name": (with_input(name="a b", value=1), "'a b' is no name of an argument"),
    "no size": (with_size(match="a"), "must be a number, or have 'match' with"),
    "regex": (with_size(match="(", values={"a": 1}), "is no regular expression"),
    "numbers": (with_size(match="a", values={"a": -1}), "whole numbers that are not negative"),
    "call": (with_size(expression="f(2)"), "no Call"),
    "unknown name": (with_size(match="a", expression="level"), "level: neither a named group"),
    "division": (with_size(expression="1 / 2"), "no Div"),
    "order": (
        {"probe": {"calls": [{"inputs": [{"name": "a", "value": 1}, {"value": 2}]}]}},
        "is positional and can't follow one with a name",
    ),
    "twice": ({"probe": {"calls": [{"inputs": [{"name": "a", "value": 1}] * 2}]}}, "two inputs are named 'a'"),
    "function": ({"probe": {"function": {"name": "probe", "source": "def probe(:"}}}, "is no Python"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_told_with_its_place(name: str) -> None:
    changes, expected = WRONG[name]
    with pytest.raises(SpecError) as caught:
        model_spec.parse(document(**changes))
    assert expected in str(caught.value)


def test_all_mistakes_at_once() -> None:
    broken = {**SET, "class": "a", "files": [], "needs": "a", "tolerance": {"float32": 1e-6}, "probe": {}}
    with pytest.raises(SpecError) as caught:
        model_spec.parse({"schema": 1, "sets": [broken, SET, {**SET, "tolerance": 3}]})
    assert len(str(caught.value).splitlines()) == 1 + 10


NAMES = ("schema", "sets", "name", "files", "probe", "calls", "inputs", "sizes", "shape", "dict", "list", "construct")


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES), inner),
    )
)
def test_no_document_crashes_the_parser(raw: Any) -> None:
    try:
        model_spec.parse(raw)
    except SpecError as error:
        text = str(error)
    else:
        return
    assert "specification is wrong" in text


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("/m/fsaverage3/small/lh_a.model", {"vertices": 642, "edges": 3852, "width": 4, "heads": 1}),
        ("/m/fsaverage6/rh_b.model", {"vertices": 40962, "edges": 245772, "width": 8, "heads": 2}),
    ],
)
def test_sizes_come_from_the_path(file: str, expected: dict[str, int]) -> None:
    probe = model_spec.parse(document()).sets[0].probe
    assert probe is not None
    assert sizes.resolve(probe.sizes, file) == {**expected, "two": 2}


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (sizes.Size(match="level([0-9])", values={"3": 1}), "is not found in /m/x"),
        (sizes.Size(match="(x)", values={"3": 1}), "has no value for 'x', found in /m/x; known are 3"),
        (sizes.Size(match="(?P<n>x)", expression="n"), "the group n of the match is 'x' in /m/x, no number"),
        (sizes.Size(files={"/n/*": 1}), "no glob of files fits /m/x; there are /n/*"),
        (sizes.Size(expression="1 - 2"), "is -1 for this file"),
        (sizes.Size(expression="1 // 0"), "divides by zero"),
        (sizes.Size(expression="2 ** 64"), "the exponent 64 is not between"),
        (sizes.Size(expression="2 ** (0 - 1)"), "the exponent -1 is not between"),
        (sizes.Size(expression="(2 ** 40) * (2 ** 40)"), "beyond 2 ** 48"),
        (sizes.Size(expression="9" * 40), "beyond 2 ** 48"),
        (sizes.Size(expression="1 +"), "is no arithmetic"),
        (sizes.Size(expression="(" * 199), "is no arithmetic"),
        (sizes.Size(expression="1" + "+1" * 200), "has 401 characters"),
        (sizes.Size(expression="True"), "no Constant"),
        (sizes.Size(expression="1.5"), "no Constant"),
        (sizes.Size(expression="~1"), "no Invert"),
        (sizes.Size(expression="a.b"), "no Attribute"),
        (sizes.Size(expression="missing"), "the name missing stands for nothing"),
    ],
)
def test_a_size_that_cannot_be_told_says_why(size: sizes.Size, message: str) -> None:
    with pytest.raises(ConversionError) as caught:
        sizes.resolve({"n": size}, "/m/x")
    assert message in str(caught.value)
    assert str(caught.value).startswith("the probe's size n")


@given(st.text(alphabet="0123456789+-*/%() abn.,[]_'\"=:", max_size=60))
def test_any_text_is_a_whole_number_or_refused(text: str) -> None:
    try:
        found = sizes.evaluate(text, {"a": 3, "b": 7, "n": 2})
    except ConversionError:
        return
    assert type(found) is int
    assert abs(found) <= sizes.LARGEST
    assert found == eval(text.strip(), {"__builtins__": {}}, {"a": 3, "b": 7, "n": 2})
