from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bake.registry import Registry
from lab.demo_rootfs import Machine, fetcher_for, rootfs_for
from tests.engine import mirror
from tests.engine.network.fixtures import authority, private_registry, proxy, second_base, second_engine, switch
from tests.engine.small import BASE, docker

# Fixtures that are defined elsewhere.
__all__ = ["authority", "private_registry", "proxy", "second_base", "second_engine", "switch"]


@pytest.fixture(scope="session", autouse=True)
def fetcher() -> None:
    """Where no image can be pulled, the root filesystem that was made here fetches inside of builds."""
    machine = Machine(say=print)
    rootfs_for(machine, force=False)
    os.environ.setdefault("GENERATOR_STORE", "0")  # tests bake again to see what is built then
    if name := fetcher_for(machine):
        os.environ.setdefault("GENERATOR_FETCHER", name)
        os.environ.setdefault("FETCHER_IMAGE", name)  # for plain buildx


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
    base, image, name = f"{hub}/{mirror.BASE}", f"uplift-lab:{os.getpid()}", f"uplift-lab-{os.getpid()}"
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


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry of its own on a free loopback port (Debian's docker-registry)."""
    program = shutil.which("docker-registry") or shutil.which("registry")
    assert program is not None, "docker-registry is not installed: `make registry` installs it"
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    (folder / "config.yml").write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f"http: {{addr: {address}}}\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 10
        while Registry(address).probe().status != 200:
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(10)
