"""The laboratory itself: fresh engines, a private registry with TLS and accounts, a network between them.

Proves the thing: that the laboratory which other tests rely on does what it says.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.grpc_bridge import GrpcBridge
from tests.engine.network import canary, faults
from tests.engine.network.authority import Authority
from tests.engine.network.engine import Engine
from tests.engine.network.fixtures import ACCOUNTS
from tests.engine.network.processes import run
from tests.engine.network.proxy import FaultProxy
from tests.engine.network.registry import PrivateRegistry
from tests.engine.network.switch import Switch, sweep
from tests.engine.network.tokens import TokenServer
from tests.engine.remote_builder import create_builder
from tests.engine.small import TOP, docker

pytestmark = pytest.mark.engine

KILLED = """\
import os, signal
from tests.engine.network.engine import Engine
from tests.engine.network.switch import Switch
with Switch() as switch, Engine("killed", switch) as engine:
    print(engine.pid, switch.name, engine.folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
FETCHES = """\
FROM {base}
RUN --mount=type=secret,id=ca-bundle --mount=type=bind,target=/tools \\
    sh /tools/with-ca /opt/env/bin/pip download --no-cache-dir --quiet six
"""


def login(
    engine: Engine, registry: PrivateRegistry | FaultProxy, user: str = "writer", password: str = ACCOUNTS["writer"]
) -> None:
    engine.docker("login", "--username", user, "--password-stdin", registry.host, stdin=password.encode())


@pytest.fixture
def image(tmp_path: Path) -> Callable[[Engine], str]:
    """Make an image of one small layer that no registry has."""

    def build(engine: Engine) -> str:
        folder = tmp_path / "scratch"
        folder.mkdir()
        (folder / "noise").write_bytes(os.urandom(3_000_000))
        (folder / "Dockerfile").write_text("FROM scratch\nCOPY noise /\n")
        engine.docker("buildx", "build", "--provenance=false", "-t", "uplift-test-noise:1", folder)
        return "uplift-test-noise:1"

    return build


def test_a_second_engine_is_another_and_leaves_the_first_alone(second_engine: Engine) -> None:
    assert second_engine.docker("info", "--format", "{{.ID}}") != docker("info", "--format", "{{.ID}}")
    assert second_engine.docker("info", "--format", "{{.DriverStatus}}") == docker(
        "info", "--format", "{{.DriverStatus}}"
    )
    network = json.loads(docker("network", "inspect", "bridge"))[0]
    gateway = network["IPAM"]["Config"][0]["Gateway"]
    assert gateway in run("ip", "-4", "address", "show", "dev", network["Options"]["com.docker.network.bridge.name"])


def test_a_run_that_is_killed_leaves_nothing_behind() -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED], cwd=TOP, capture_output=True, text=True, check=False, timeout=60
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    pid, name, folder = killed.stdout.split()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}/ns/net").exists():  # a zombie of a container without init has none
        assert time.monotonic() < deadline, "the kernel did not end dockerd"
        time.sleep(0.1)
    sweep()
    assert name not in run("ip", "-brief", "link") + run("ip", "netns") + run("iptables-save")
    assert not Path(folder).exists()


def test_builds_on_it_reach_the_package_index(second_engine: Engine, second_base: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(FETCHES.format(base=second_base))
    for name in ("with-ca", "mirrored", "apt-ca.conf"):
        shutil.copy(TOP / "contexts/tools" / name, tmp_path)
    bundle = os.environ.get("GENERATOR_CA_BUNDLE")
    secret = [f"--secret=id=ca-bundle,src={bundle}"] if bundle else []
    second_engine.docker("buildx", "build", *secret, "--output=type=cacheonly", tmp_path)


def test_the_registry_wants_the_ca_and_a_password(
    second_engine: Engine, private_registry: PrivateRegistry, switch: Switch, image: Callable[[Engine], str]
) -> None:
    with Engine("stranger", switch) as stranger:
        assert stranger.docker("version", "--format", "{{.Server.Version}}")
        with pytest.raises(AssertionError, match="certificate signed by unknown authority"):
            login(stranger, private_registry)
        stranger.trust(private_registry.host, private_registry.authority.certificate)
        login(stranger, private_registry)
    with pytest.raises(AssertionError, match="401 Unauthorized"):
        login(second_engine, private_registry, password="wrong")
    name = f"{private_registry.host}/lab/noise:1"
    second_engine.docker("tag", image(second_engine), name)
    with pytest.raises(AssertionError, match=r"no basic auth credentials|unauthorized"):
        second_engine.docker("push", name)
    login(second_engine, private_registry)
    mark = private_registry.mark()
    second_engine.docker("push", "--quiet", name)
    sent = private_registry.traffic(mark)
    assert 3_000_000 < sent.uploaded_bytes["lab/noise"] < 3_100_000
    assert sent.tagged == ("lab/noise:1",)


def test_a_layer_that_the_registry_has_is_mounted(
    second_engine: Engine, private_registry: PrivateRegistry, image: Callable[[Engine], str]
) -> None:
    login(second_engine, private_registry)
    names = [f"{private_registry.host}/lab/{part}:1" for part in ("mounted-from", "mounted-to")]
    second_engine.docker("tag", image(second_engine), names[0])
    second_engine.docker("push", "--quiet", names[0])
    second_engine.docker("tag", names[0], names[1])
    mark = private_registry.mark()
    second_engine.docker("push", "--quiet", names[1])
    sent = private_registry.traffic(mark)
    assert len(sent.mounts) >= 1
    assert sent.uploaded_bytes.get("lab/mounted-to", 0) < 10_000


def test_the_registry_keeps_its_content_over_a_stop_and_forgets_what_is_deleted(
    second_engine: Engine, private_registry: PrivateRegistry, image: Callable[[Engine], str]
) -> None:
    login(second_engine, private_registry)
    made = image(second_engine)
    for name in ("forgotten/a:cache-1", "forgotten/a:kept", "forgotten/b:1"):
        second_engine.docker("tag", made, f"{private_registry.host}/{name}")
        second_engine.docker("push", "--quiet", f"{private_registry.host}/{name}")
    digest = private_registry.digest("forgotten/a", "kept")
    private_registry.stop(kill=True)
    private_registry.start()
    assert private_registry.delete("forgotten/a", "cache-") == ["cache-1"]
    assert private_registry.delete("forgotten/b") == ["forgotten/b"]
    assert private_registry.digest("forgotten/a", "kept") == digest != ""
    assert private_registry.manifest("forgotten/a", "kept")["schemaVersion"] == 2
    assert digest in dict(private_registry.blobs())


def test_a_token_server_gives_tokens_that_expire(
    tmp_path: Path, switch: Switch, authority: Authority, image: Callable[[Engine], str]
) -> None:
    rights = {"reader": frozenset({"pull"})}
    accounts = {"writer": "w", "reader": "r"}
    with (
        TokenServer(switch, authority, accounts, rights=rights) as tokens,
        PrivateRegistry(tmp_path, switch, authority, tokens=tokens) as registry,
        Engine("tokens", switch, system=authority.bundle()) as engine,
    ):
        name = f"{registry.host}/lab/noise:1"
        engine.docker("tag", image(engine), name)
        login(engine, registry, "reader", "r")
        with pytest.raises(AssertionError, match=r"denied|unauthorized|insufficient"):
            engine.docker("push", name)
        login(engine, registry, "writer", "w")
        engine.docker("push", "--quiet", name)
        assert any(user == "writer" and "repository:lab/noise:pull,push" in scope for user, scope in tokens.given)
        assert registry.manifest("lab/noise", "1")["schemaVersion"] == 2
        tokens.life = -1
        answer = registry.session.get(
            f"https://{registry.host}/v2/lab/noise/manifests/1", headers=registry._token("lab/noise"), timeout=5
        )
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_the_proxy_passes_pushes_and_pulls_on_and_counts_them(
    second_engine: Engine, private_registry: PrivateRegistry, proxy: FaultProxy, image: Callable[[Engine], str]
) -> None:
    second_engine.trust(proxy.host, private_registry.authority.certificate)
    login(second_engine, proxy)
    name = f"{proxy.host}/lab/through:1"
    second_engine.docker("tag", image(second_engine), name)
    mark = private_registry.mark()
    second_engine.docker("push", "--quiet", name)
    seen = proxy.traffic()
    assert 3_000_000 < seen.uploaded_bytes["lab/through"] < 3_100_000
    assert seen.uploaded_bytes == private_registry.traffic(mark).uploaded_bytes
    assert seen.tagged == ("lab/through:1",)
    assert private_registry.digest("lab/through", "1")
    with Engine("puller", switch=second_engine.switch) as puller:
        puller.trust(proxy.host, private_registry.authority.certificate)
        login(puller, proxy)
        began = proxy.mark()
        puller.docker("pull", "--quiet", name)
        assert proxy.traffic(began).pulled_bytes > 3_000_000
    assert not seen.faults.requests


def test_the_proxy_does_harm_where_it_is_told_to(
    second_engine: Engine, private_registry: PrivateRegistry, proxy: FaultProxy, image: Callable[[Engine], str]
) -> None:
    second_engine.trust(proxy.host, private_registry.authority.certificate)
    login(second_engine, proxy)
    name = f"{proxy.host}/lab/harmed:1"
    second_engine.docker("tag", image(second_engine), name)
    for rule, said in (
        (faults.too_large(1_000_000), "413"),
        (faults.server_errors(times=None), "500"),
        (faults.reset_upload(after=1_000_000, times=None), r"reset|broken pipe|EOF|use of closed"),
    ):
        proxy.faults.set(rule)
        with pytest.raises(AssertionError, match=said):
            second_engine.docker("push", name)
        assert rule.struck > 0
        assert private_registry.digest("lab/harmed", "1") == ""
    proxy.faults.set()
    proxy.down()
    with pytest.raises(AssertionError, match="connection refused"):
        second_engine.docker("push", name)
    proxy.up()
    second_engine.docker("push", "--quiet", name)
    assert private_registry.digest("lab/harmed", "1")


def test_a_value_is_found_in_the_layers_of_the_registry(
    second_engine: Engine, private_registry: PrivateRegistry, tmp_path: Path
) -> None:
    login(second_engine, private_registry)
    name = f"{private_registry.host}/lab/canary:1"
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY secret /\n")
    (tmp_path / "secret").write_bytes(os.urandom(5_000_000) + b"canary-71c0" + bytes(5_000_000))
    for form in ("gzip", "zstd"):
        output = f"--output=type=image,push=true,store=false,name={name},compression={form},force-compression=true"
        second_engine.docker("buildx", "build", "--provenance=false", output, tmp_path)
        layer = private_registry.layers("lab/canary", "1")[0]
        assert layer in canary.holding(b"canary-71c0", private_registry.blobs())
    assert canary.holding(b"canary-71c1", private_registry.blobs()) == []


@pytest.mark.parametrize("way", ["remote driver", "context"])
def test_buildx_of_another_engine_builds_on_it(second_engine: Engine, tmp_path: Path, way: str) -> None:
    (tmp_path / "docker-bake.hcl").write_text(
        f'target "default" {{\n  context = "{tmp_path}"\n  output = ["type=local,dest={tmp_path}/out"]\n}}\n'
    )
    (tmp_path / "Dockerfile").write_text(f"FROM scratch\nCOPY Dockerfile /{time.time_ns()}\n")
    elsewhere = {**os.environ, "DOCKER_CONFIG": str(tmp_path / "client")}
    used = second_engine.docker("buildx", "du")
    with GrpcBridge(str(second_engine.socket)) as bridge:
        if way == "context":
            run("docker", "context", "create", "far", f"--docker=host={second_engine.host}", environment=elsewhere)
        else:
            create_builder("far", bridge.endpoint, environment=elsewhere)
        # buildx takes a context as such, not by --builder: "use `docker --context=far buildx`".
        chosen = {"DOCKER_CONTEXT": "far"} if way == "context" else {"BUILDX_BUILDER": "far"}
        bake = ("bake", f"--allow=fs={tmp_path}", f"--file={tmp_path}/docker-bake.hcl")
        run("docker", "buildx", *bake, environment={**elsewhere, **chosen})
        assert (bridge.connections > 0) == (way == "remote driver")
    assert len(list((tmp_path / "out").iterdir())) == 1
    assert second_engine.docker("buildx", "du") != used


def test_an_engine_can_have_either_store() -> None:
    with Switch() as switch:
        for store in (True, False):
            with Engine("store", switch, containerd_store=store) as engine:
                status = engine.docker("info", "--format", "{{json .DriverStatus}}")
                assert ("io.containerd.snapshotter" in status) is store
