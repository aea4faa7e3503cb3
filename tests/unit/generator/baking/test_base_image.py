"""What a base brings along, on answers of a stand-in; tests/engine/test_inherited.py has a real engine."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace
from typing import Any

import pytest

from bake.buildx.builder_facts import BuilderFacts
from bake.engine.facts import ImageFacts, folders_in
from bake.errors import UsageError
from bake.reference import parse_reference
from bake.registry import Answer, Outcome, Registry
from generator.baking.base_image import inherited, require_python
from generator.job import Inherited, Preflight
from generator.plan.driver import oldest_driver, requirement
from generator.recipe import Recipe
from generator.resolve.facts import Facts

OWN = BuilderFacts(name="default", driver="docker", nodes=())
AWAY = BuilderFacts(name="far", driver="remote", nodes=())
FACTS = Facts(tag="x:1", registry="", base="lab/base:1", archs="12.0", ca_bundle=None, platform="linux/amd64")
ENGINE: Any = SimpleNamespace(client=object())


def image(user: str, *environment: str) -> ImageFacts:
    return ImageFacts(
        reference="base:1",
        id="i",
        digest=None,
        size=1,
        layers=(),
        architecture="amd64",
        user=user,
        environment=environment,
    )


@pytest.mark.parametrize(
    ("user", "environment", "expected"),
    [
        ("", (), Inherited(known=True)),
        ("root", ("PATH=/bin",), Inherited(known=True)),
        ("0:0", ("NVIDIA_REQUIRE_CUDA=",), Inherited(known=True)),
        ("app:users", (), Inherited(known=True, user="app:users")),
        ("1000", ("NVIDIA_REQUIRE_CUDA=cuda>=11.8",), Inherited(known=True, user="1000", requires=True)),
    ],
)
def test_what_the_engine_says(
    monkeypatch: pytest.MonkeyPatch, user: str, environment: tuple[str, ...], expected: Inherited
) -> None:
    monkeypatch.setattr("generator.baking.base_image.image_facts", lambda _client, _name: image(user, *environment))
    assert inherited("base:1", OWN, FACTS, ENGINE) == expected


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2024-11-26T23:27:56.987654321Z", "1732663676"),
        ("2024-11-27T00:27:56+01:00", "1732663676"),
        ("1970-01-01T00:00:00Z", "0"),
        ("0001-01-01T00:00:00Z", ""),
        ("2024-13-26T23:27:56Z", ""),
        ("yesterday", ""),
        ("", ""),
    ],
)
def test_when_the_base_was_made_is_told_in_seconds(monkeypatch: pytest.MonkeyPatch, moment: str, expected: str) -> None:
    found = dataclasses.replace(image(""), created=moment)
    monkeypatch.setattr("generator.baking.base_image.image_facts", lambda _client, _name: found)
    assert inherited("base:1", OWN, FACTS, ENGINE).created == expected
    answers(monkeypatch, {"1": {"config": {"digest": "sha256:c"}}, "sha256:c": {"config": {}, "created": moment}})
    assert inherited("lab/base:1", AWAY, FACTS, ENGINE).created == expected


def answers(monkeypatch: pytest.MonkeyPatch, documents: dict[str, Any]) -> None:
    def ask(_self: Registry, _method: str, path: str, *_: Any, **__: Any) -> Answer:
        name = path.rpartition("/")[2]
        outcome = Outcome.ANSWERS if name in documents else Outcome.ABSENT
        return Answer(outcome=outcome, url=path, headers={}, body=json.dumps(documents.get(name, {})).encode())

    monkeypatch.setattr(Registry, "_ask", ask)
    names = {json.dumps(document).encode(): name for name, document in documents.items()}
    monkeypatch.setattr("bake.registry.answer.digest_of", lambda body, _algorithm: names[body])


def test_what_the_registry_says_of_one_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    platforms = [
        {"digest": f"sha256:{name}", "platform": {"os": "linux", "architecture": name}} for name in ("arm64", "amd64")
    ]
    documents = {
        "1": {"manifests": platforms},
        "sha256:amd64": {"config": {"digest": "sha256:c"}},
        "sha256:c": {"config": {"User": "app", "Env": ["NVIDIA_REQUIRE_CUDA=cuda>=11.8"]}},
    }
    answers(monkeypatch, documents)
    assert inherited("lab/base:1", AWAY, FACTS, ENGINE) == Inherited(known=True, user="app", requires=True)
    answers(monkeypatch, {"1": documents["sha256:amd64"], "sha256:c": {"config": {}}})
    assert inherited("lab/base:1", AWAY, FACTS, ENGINE) == Inherited(known=True)


def test_an_image_with_steps_of_its_own_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = dataclasses.replace(image(""), triggers=("RUN id",))
    monkeypatch.setattr("generator.baking.base_image.image_facts", lambda _client, _name: found)
    with pytest.raises(UsageError, match="ONBUILD") as caught:
        inherited("base:1", OWN, FACTS, ENGINE)
    assert caught.value.where == "base:1"


@pytest.mark.parametrize(
    "config",
    [
        '{"config": {"OnBuild": ["RUN id"]}}',
        '{"config": {"onbuild": ["RUN id"]}}',
        '{"config": {}, "Config": {"OnBuild": ["RUN id"]}}',
        '{"config": {"OnBuild": ["RUN id"]}, "config": {}}',
        '{"config": {"OnBuild": ["RUN id"], "On\\u0042uild": null}}',
        '{"config": []}',
    ],
)
def test_so_it_is_however_its_registry_writes_them(monkeypatch: pytest.MonkeyPatch, config: str) -> None:
    manifest = json.dumps({"config": {"digest": "sha256:c"}})

    def ask(_self: Registry, _method: str, path: str, *_: Any, **__: Any) -> Answer:
        body = config if path.endswith("sha256:c") else manifest
        return Answer(outcome=Outcome.ANSWERS, url=path, headers={}, body=body.encode())

    monkeypatch.setattr(Registry, "_ask", ask)
    monkeypatch.setattr("bake.registry.answer.digest_of", lambda _body, _algorithm: "sha256:c")
    with pytest.raises(UsageError, match=r"ONBUILD|no configuration"):
        inherited("lab/base:1", AWAY, FACTS, ENGINE)


@pytest.mark.parametrize("documents", [{"1": {"manifests": []}}, {"1": {"config": {"digest": "sha256:gone"}}}])
def test_an_image_without_a_configuration_is_refused(
    monkeypatch: pytest.MonkeyPatch, documents: dict[str, Any]
) -> None:
    answers(monkeypatch, documents)
    with pytest.raises(UsageError, match="no configuration of it for linux/amd64"):
        inherited("lab/base:1", AWAY, FACTS, ENGINE)


def test_what_nobody_says_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, {})
    assert not inherited("lab/base:1", AWAY, FACTS, ENGINE).known
    assert Registry("r.example").image_config(parse_reference("r.example/x:2"), "linux/amd64") is None


def test_bake_variables_say_what_is_inherited() -> None:
    found = Inherited(known=True, user="app", requires=True, created="17")
    variables = Preflight(base="base:1", fetcher="python:3", platform="linux/amd64", inherited=found).variables()
    assert (variables["BASE_USER"], variables["NVIDIA_REQUIRE"], variables["SOURCE_DATE_EPOCH"]) == ("app", "new", "17")
    variables = Preflight(base="base:1", fetcher="python:3", platform="linux/amd64").variables()
    assert (variables["BASE_USER"], variables["NVIDIA_REQUIRE"]) == ("", "kept")


def with_python(recipe: Recipe, pythons: str | None) -> Recipe:
    return recipe.model_copy(update={"stack": recipe.stack.model_copy(update={"python": pythons})})


@pytest.fixture
def has(monkeypatch: pytest.MonkeyPatch) -> Any:
    def set_folders(*minors: int) -> None:
        there = {f"/opt/conda/envs/deepprep/lib/python3.{minor}" for minor in minors}
        found = lambda _client, _name, paths: tuple(path for path in paths if path in there)  # noqa: E731
        monkeypatch.setattr("generator.baking.base_image.folders_in", found)

    return set_folders


def test_a_python_without_wheels_is_refused_with_the_stacks_that_have_some(demo: Recipe, has: Any) -> None:
    has(9)
    with pytest.raises(
        UsageError, match=r"has Python 3\.9, and the new stack has wheels for Python >=3\.10,<3\.15 alone"
    ) as error:
        require_python(with_python(demo, ">=3.10,<3.15"), "base:1", OWN, ENGINE)
    assert error.value.remedy == 'take a stack that has: [stack] from = "torch2.7-cu128"'
    has(8)
    with pytest.raises(UsageError) as error:
        require_python(with_python(demo, ">=3.10,<3.15"), "base:1", OWN, ENGINE)
    assert "no stack that ships has any" in str(error.value.remedy)


@pytest.mark.parametrize(
    ("minors", "pythons"), [((10,), ">=3.10,<3.15"), ((8, 12), ">=3.10,<3.15"), ((), ">=3.10,<3.15"), ((8,), None)]
)
def test_a_python_with_wheels_or_unknown_passes(
    demo: Recipe, has: Any, minors: tuple[int, ...], pythons: str | None
) -> None:
    has(*minors)
    require_python(with_python(demo, pythons), "base:1", OWN, ENGINE)


def test_a_base_elsewhere_is_left_to_the_first_step(demo: Recipe, has: Any) -> None:
    has(8)
    require_python(with_python(demo, ">=3.10,<3.15"), "base:1", AWAY, ENGINE)


def test_the_container_that_is_looked_into_is_never_started_and_goes() -> None:
    calls: list[Any] = []

    def create(*_: Any, **options: Any) -> dict[str, str]:
        calls.append(("create", options))
        return {"Id": "c1"}

    api = SimpleNamespace(
        base_url="http+docker://localhost",
        api_version="1.51",
        create_container=create,
        head=lambda _url, params, **_: SimpleNamespace(ok=params["path"] == "/a"),
        remove_container=lambda name, **_: calls.append(("remove", name)),
    )
    client: Any = SimpleNamespace(api=api)
    assert folders_in(client, "base:1", ("/a", "/b")) == ("/a",)
    assert [call[0] for call in calls] == ["create", "remove"]
    assert calls[0][1]["network_disabled"]


@pytest.mark.parametrize(
    ("cuda", "driver", "required"),
    [
        ("12.8", ">=570.26", "cuda>=12.8 cuda>=12.0,arch<10.0"),
        ("13.0", ">=580.65.06", "cuda>=13.0"),
        ("12.7", "", "cuda>=12.7 cuda>=12.0,arch<10.0"),
    ],
)
def test_the_driver_of_a_cuda_release(cuda: str, driver: str, required: str) -> None:
    assert (oldest_driver(cuda), requirement(cuda)) == (driver, required)
