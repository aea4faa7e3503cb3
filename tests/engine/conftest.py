from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from bake.local.demo_rootfs import Machine, rootfs_for
from tests.engine.small import BASE, docker


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A small base that no earlier run built upon, so that nothing of it is cached."""
    rootfs = rootfs_for(Machine(say=print), force=False)
    folder = tmp_path_factory.mktemp("base")
    (folder / "Dockerfile").write_text(BASE)
    name = f"uplift-test-base:{os.getpid()}"
    arguments = [f"--build-arg=ROOTFS={rootfs}", f"--build-arg=CACHEBUST={time.time_ns()}"]
    docker("buildx", "build", *arguments, "-t", name, str(folder))
    yield name
    docker("image", "rm", "--force", name, "uplift-test-small:1", check=False)
