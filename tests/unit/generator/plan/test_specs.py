from __future__ import annotations

import json

from conversion.models import model_spec, sizes
from generator.plan import specs
from generator.recipe import Recipe, load_recipe, shipped
from generator.recipe.fields import requirement_name


def test_old_builds_of_what_is_compiled_anew_are_removed_first(demo: Recipe) -> None:
    assert specs.removed(demo) == ("lit", "torch-scatter", "torch-spline-conv")


def test_only_what_the_recipe_names_may_change(demo: Recipe) -> None:
    released = specs.released(demo)
    assert {"torch", "torch-geometric", "torch-scatter", "lit", "triton"} <= set(released)
    assert "numpy" not in released


def test_verify_expects_the_local_version_that_the_recipe_gives(demo: Recipe) -> None:
    model_spec = json.loads(specs.verify_json(demo))
    assert model_spec["versions"] == {
        "torch": "2.11.0+cu130",
        "torch-geometric": "2.7.0",
        "torch-scatter": "2.1.2",
        "torch-spline-conv": "1.2.2",
    }
    assert model_spec["absent"] == ["lit"]
    assert model_spec["archs"] == ["9.0", "12.0"]


def test_models_are_specified_as_the_recipe_says(demo: Recipe) -> None:
    document = json.loads(specs.models_json(demo))
    assert document["schema"] == 2
    assert {"torch", "torch-geometric", "torch-scatter", "triton"} <= set(document["released"])
    assert document["absent"] == ["torch-spline-conv", "lit"]
    (models,) = document["sets"]
    assert models == {
        "name": "sugar",
        "files": ["/opt/model/SUGAR/model_files/*/*.model"],
        "path": ["/opt/DeepPrep/deepprep/SUGAR"],
        "needs": ["torch-scatter"],
        "construct": {},
        "probe": {
            "seed": 904,
            "sizes": {"vertices": {"match": r"fsaverage(?P<level>\d)", "expression": "10 * 4 ** level + 2"}},
            "calls": [
                {
                    "inputs": [
                        {"name": "x", "shape": ["vertices", 2], "distribution": "normal"},
                        {"name": "xyz_moving", "shape": ["vertices", 3], "distribution": "sphere", "scale": 100.0},
                    ]
                }
            ],
        },
        "tolerance": None,
    }
    assert json.loads(specs.verify_json(demo))["models"] == document


def test_the_reader_of_the_containers_takes_what_is_written() -> None:
    for name in shipped():
        found = model_spec.parse(json.loads(specs.models_json(load_recipe(name).recipe)))
        (models,) = found.sets
        assert models.probe is not None
        file = "/opt/model/SUGAR/model_files/fsaverage6/lh_Rigid_904_fsaverage6.model"
        assert sizes.resolve(models.probe.sizes, file) == {"vertices": 40962}
        assert not {"torch-scatter", "torch-geometric", "torch"} & set(found.absent)


def test_requirement_names_are_normal_and_without_extras() -> None:
    assert requirement_name("Torch_Geometric [full]==2.7.0") == "torch-geometric"


def test_modules_are_named_as_python_imports_them(demo: Recipe) -> None:
    assert specs.modules(demo) == ("torch", "torch_geometric")
