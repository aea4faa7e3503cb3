"""Which wheels and compiler caches are signed, taken and made anew, in a real registry; the driver builds nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bake.reference import Reference
from generator.baking import build
from generator.job import Job
from generator.resolve.caches import Caches
from generator.resolve.facts import Facts
from generator.reuse import compiler_cache, wheel_store
from generator.reuse.store import CACHE, WHEEL, store_of
from tests.loopback import Loopback
from tests.unit.generator.baking.conftest import WHEEL as SCATTER
from tests.unit.generator.baking.conftest import Driver, FactsOf, step

MakeJob = Callable[..., Job]


def looked_up(lab: Loopback, facts: Facts) -> tuple[bool, str]:
    """Whether the store's wheel is taken, and what is said."""
    name = f"{lab.host}/uplift-wheels"
    store = store_of(name, facts, WHEEL)
    assert store is not None
    lookup = wheel_store.look_up((SCATTER,), {name: store})
    assert bool(lookup.variables()) is not bool(lookup.missing)
    return not lookup.missing, "\n".join(lookup.warnings).replace(lab.host, "REGISTRY")


def put_wheel(lab: Loopback, tag: str = SCATTER.tag, content: bytes = b"a wheel") -> Reference:
    return lab.put_image(f"uplift-wheels:{tag}", content)


def sign_wheel(lab: Loopback, facts: Facts, image: Reference, tag: str = SCATTER.tag) -> None:
    store = store_of(f"{lab.host}/uplift-wheels", facts, WHEEL)
    assert store is not None
    assert store.sign(tag, str(image.digest)) == ""


def test_a_wheel_is_taken_that_somebody_trusted_signed(lab: Loopback, facts_of: FactsOf) -> None:
    image = put_wheel(lab)
    sign_wheel(lab, facts_of("lab"), image)
    assert looked_up(lab, facts_of(trusts="lab")) == (True, "")


def test_an_unsigned_wheel_is_compiled_anew_and_the_line_says_why(lab: Loopback, facts_of: FactsOf) -> None:
    put_wheel(lab, content=b"unsigned")
    said = f"the wheel store REGISTRY/uplift-wheels has {SCATTER.tag}, and it is not taken: not signed"
    assert looked_up(lab, facts_of(trusts="lab")) == (False, said)
    assert looked_up(lab, facts_of()) == (True, "")  # nobody in particular is trusted: as ever


def test_a_wheel_that_somebody_else_signed_is_compiled_anew(lab: Loopback, facts_of: FactsOf) -> None:
    sign_wheel(lab, facts_of("others"), put_wheel(lab, content=b"of others"))
    taken, said = looked_up(lab, facts_of(trusts="lab"))
    assert (taken, said.endswith("it is not taken: signed by nobody who is trusted here")) == (False, True)


def test_a_signed_wheel_of_another_key_is_not_taken_under_this_one(lab: Loopback, facts_of: FactsOf) -> None:
    other = f"torch-scatter-{'0' * 32}"
    sign_wheel(lab, facts_of("lab"), put_wheel(lab, other, b"another"), other)
    put_wheel(lab, content=b"another")  # the same image, by whoever may push
    taken, said = looked_up(lab, facts_of(trusts="lab"))
    assert not taken
    assert f"lab.pub signed it as 'wheel/{other}', and not as 'wheel/{SCATTER.tag}'" in said


def test_a_signed_compiler_cache_is_no_wheel(lab: Loopback, facts_of: FactsOf) -> None:
    image = put_wheel(lab, content=b"objects")
    caches = store_of(f"{lab.host}/uplift-wheels", facts_of("lab"), CACHE)
    assert caches is not None
    assert caches.sign(SCATTER.tag, str(image.digest)) == ""
    assert not looked_up(lab, facts_of(trusts="lab"))[0]


def test_a_changed_wheel_under_a_signed_tag_is_not_taken(lab: Loopback, facts_of: FactsOf) -> None:
    sign_wheel(lab, facts_of("lab"), put_wheel(lab, content=b"good"))
    put_wheel(lab, content=b"poisoned")
    assert looked_up(lab, facts_of(trusts="lab")) == (
        False, f"the wheel store REGISTRY/uplift-wheels has {SCATTER.tag}, and it is not taken: not signed"
    )  # fmt: skip


@pytest.mark.parametrize(("signs", "taken"), [("lab", True), ("", False)])
def test_what_is_compiled_is_pushed_signed_and_taken_by_the_next_bake(
    make_job: MakeJob,
    driver: Driver,
    lab: Loopback,
    facts_of: FactsOf,
    capsys: pytest.CaptureFixture[str],
    signs: str,
    *,
    taken: bool,
) -> None:
    job = make_job(caches=Caches(wheels=f"{lab.host}/uplift-wheels", compiler_cache=f"{lab.host}/uplift-ccache"))
    job = replace(job, facts=replace(facts_of(signs, "lab"), folder=driver.folder))
    saved = lab.put_image(f"uplift-ccache:{compiler_cache.tag(job, SCATTER)}", signs.encode())
    driver.pushed = {
        SCATTER.target: str(put_wheel(lab, content=f"by {signs}".encode()).digest),
        "compiler-cache": str(saved.digest),
    }
    driver.steps = (step(SCATTER.target),)
    build.bake_targets(job, ("verify",))
    assert looked_up(lab, job.facts)[0] is taken
    caches = store_of(f"{lab.host}/uplift-ccache", job.facts, CACHE)
    assert caches is not None
    found = caches.look_up(compiler_cache.tag(job, SCATTER))
    assert (bool(found.reference), found.refused) == (taken, "" if taken else "not signed")
    said = capsys.readouterr().err
    assert ("without a signature: nothing signs it (--sign-key)" in said) is not taken


def test_a_compiler_cache_that_nobody_signed_is_not_loaded_and_saved_anew(
    make_job: MakeJob, driver: Driver, lab: Loopback, facts_of: FactsOf, capsys: pytest.CaptureFixture[str]
) -> None:
    job = make_job(caches=Caches(compiler_cache=f"{lab.host}/ccache-of-others"))
    job = replace(job, facts=replace(facts_of("lab", "lab"), folder=driver.folder))
    poisoned = lab.put_image(f"ccache-of-others:{compiler_cache.tag(job, SCATTER)}")
    driver.pushed = {"compiler-cache": str(poisoned.digest)}
    driver.steps = (step(SCATTER.target),)
    build.bake_targets(job, ("verify",))
    assert driver.asked == [("verify",), ("compiler-cache",)]  # the second one saves
    assert "warning: the compiler cache of torch-scatter is not taken: not signed" in capsys.readouterr().err
    driver.requests.clear()
    build.bake_targets(job, ("verify",))
    assert driver.asked[0] == ("compiler-cache",)  # loaded
