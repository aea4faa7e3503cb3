from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from generator.plan import Graph, Kind, Target, build_graph
from generator.plan.matrix import as_matrix, compile_jobs
from generator.recipe import load_recipe


def graph_of(*extensions: tuple[str, str, bool, tuple[str, ...]]) -> Graph:
    """A graph of extensions: name, source, whether it compiles, what it needs."""
    return Graph(
        recipe="r",
        origin="",
        scope="r /opt",
        variables=(),
        targets=tuple(
            Target(
                name=f"wheel-{name}",
                kind=Kind.WHEEL,
                description="",
                inputs={f"wheel-{other}": f"wheel-{other}" for other in needs},
                values={"package": name, "version": "1", "source": source, "compiles": compiles},
            )
            for name, source, compiles, needs in extensions
        ),
    )


def targets_of(graph: Graph) -> list[str]:
    return [" ".join(job.targets) for job in compile_jobs(graph)]


def test_one_job_for_each_extension_that_compiles() -> None:
    graph = build_graph(load_recipe("demo").recipe)
    text = as_matrix(graph)
    assert "\n" not in text
    assert json.loads(text) == {
        "include": [
            {
                "target": f"wheel-{name}",
                "targets": f"wheel-{name}",
                "extension": name,
                "version": version,
                "source": "sdist",
            }
            for name, version in (("torch-scatter", "2.1.2"), ("torch-spline-conv", "1.2.2"))
        ]
    }


def test_prebuilt_extensions_have_no_job_and_fallbacks_share_one() -> None:
    assert targets_of(build_graph(load_recipe("deepprep").recipe)) == [
        "wheel-pytorch3d",
        "wheel-torch-scatter wheel-torch-sparse wheel-torch-cluster wheel-torch-spline-conv",
    ]


def test_extensions_that_need_one_another_share_a_job_needed_ones_first() -> None:
    graph = graph_of(
        ("z", "sdist", True, ()),
        ("alone", "git", True, ()),
        ("a", "sdist", True, ("z",)),
        ("b", "sdist", True, ("z",)),
    )
    assert targets_of(graph) == ["wheel-z wheel-a wheel-b", "wheel-alone"]
    assert [entry["target"] for entry in json.loads(as_matrix(graph))["include"]] == ["wheel-b", "wheel-alone"]


def test_what_joins_two_groups_joins_their_jobs() -> None:
    graph = graph_of(("a", "sdist", True, ()), ("b", "sdist", True, ()), ("c", "sdist", True, ("a", "b")))
    assert targets_of(graph) == ["wheel-a wheel-b wheel-c"]


def test_a_fallback_that_a_compile_needs_is_in_its_job() -> None:
    graph = graph_of(("f", "wheel", True, ()), ("p", "wheel", False, ()), ("c", "sdist", True, ("f", "p")))
    assert targets_of(graph) == ["wheel-f wheel-c"]


@given(st.lists(st.tuples(st.sampled_from(["wheel", "sdist"]), st.booleans(), st.sets(st.integers(0, 7))), max_size=8))
def test_every_compile_target_is_in_one_job_with_all_that_it_needs(rows: list[tuple[str, bool, set[int]]]) -> None:
    graph = graph_of(
        *(
            (f"e{number}", source, compiles or source == "sdist", tuple(f"e{n}" for n in sorted(needs) if n < number))
            for number, (source, compiles, needs) in enumerate(rows)
        )
    )
    jobs = [job.targets for job in compile_jobs(graph)]
    compiled = {target.name for target in graph.targets if target.values["compiles"]}
    assert sorted(name for job in jobs for name in job) == sorted(compiled)
    for job in jobs:
        for number, name in enumerate(job):
            assert graph.ancestors(name) & compiled <= set(job[:number])
