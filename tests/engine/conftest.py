from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bake.local.demo_rootfs import Machine, rootfs_for
from tests.engine import mirror
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


@pytest.fixture(scope="session")
def lab() -> Iterator[mirror.Lab]:
    """Start the mirror on the engine's bridge network and put the base into the loopback registry."""
    rootfs = rootfs_for(Machine(say=print), force=False)
    hub = f"127.0.0.1:{os.environ.get('REGISTRY_PORT', '5000')}/lab-{os.getpid()}"
    base, image, name = f"{hub}/pbfslab/deepprep:25.1.0", f"uplift-lab:{os.getpid()}", f"uplift-lab-{os.getpid()}"
    mirror.build("deepprep", base, rootfs)
    docker("push", "--quiet", base)
    mirror.build("mirror", image, rootfs)
    docker("run", "--detach", "--name", name, image)
    try:
        networks: Any = json.loads(docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", name))
        address = networks["bridge"]["IPAddress"]
        known = mirror.sums(address)
        yield mirror.Lab(mirror=name, hub=hub, address=address, prefix=f"at-{time.time_ns()}", sums=known)
    finally:
        docker("rm", "--force", name, check=False)
        docker("image", "rm", "--force", base, image, check=False)
