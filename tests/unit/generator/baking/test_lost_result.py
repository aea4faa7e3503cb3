"""BuildKit counts a step as cached whose result it has lost: what is asked of it then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bake.buildx.driver import BakeOutcome, BakeRequest
from bake.failure.causes import Speaker, find_cause
from bake.failure.explain import FailedStep
from generator.job import Job
from generator.job.run import run
from tests.unit.generator.baking.conftest import Driver, outcome

LOST = "failed to commit w2 to v1 during finalize: failed to stat active key during commit: snapshot w2 does not exist"


def failing(target: str, error: str) -> BakeOutcome:
    known = find_cause(error, speaker=Speaker.ENGINE)
    step = FailedStep(target=target, step="RUN make", error=error, file="", line=None, log=(), known=known)
    return outcome(BakeRequest(file=Path("unused")), failure="no", failed=(step,))


def uncached(driver: Driver) -> list[list[str]]:
    return [sorted(key for key in request.overrides if key.endswith(".no-cache")) for request in driver.requests]


def test_it_is_built_again_without_the_cache(
    make_job: Callable[..., Job], driver: Driver, capsys: pytest.CaptureFixture[str]
) -> None:
    driver.fails["image"] = [failing("tools", LOST), failing("torch", LOST)]
    assert run(make_job(), ("image",)).failure is None
    first, second, third = uncached(driver)
    assert (first, second) == ([], ["tools.no-cache"])
    assert set(second) | {"torch.no-cache", "fetch-stack.no-cache", "inventory.no-cache"} == set(third)
    assert "once more, without its cache for tools" in capsys.readouterr().err


def test_what_fails_without_the_cache_too_is_the_end(make_job: Callable[..., Job], driver: Driver) -> None:
    driver.fails["image"] = [failing("tools", LOST), failing("tools", LOST)]
    assert run(make_job(), ("image",)).failure is not None
    assert uncached(driver) == [[], ["tools.no-cache"]]


def test_another_failure_is_not_tried_again(make_job: Callable[..., Job], driver: Driver) -> None:
    driver.fails["image"] = [failing("tools", "process did not complete successfully: exit code: 1")]
    assert run(make_job(), ("image",)).failure is not None
    assert len(driver.requests) == 1


def test_what_the_first_try_exported_is_gone_before_the_second(make_job: Callable[..., Job], driver: Driver) -> None:
    driver.plants = lambda folder: (folder / "junit.xml").symlink_to("/etc/hostname")
    told = driver.__call__
    job = make_job()

    def fails_once(request: BakeRequest, listener: Any) -> BakeOutcome:
        done = told(request, listener)
        if len(driver.requests) == 1:
            return replace(failing("image", LOST), request=request)
        return done

    assert run(replace(job, driver=fails_once), ("verify", "image")).failure is None
    assert len(driver.requests) == 2
