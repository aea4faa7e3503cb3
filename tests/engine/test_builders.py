"""Builders that a site file describes, for real: made, used, changed and removed through the command line.

The nodes of the remote one are bridges to the engine's own BuildKit. Buildx keeps its notes in a folder of the test's
own, so that the user's builders are left alone.

Proves the thing for local builders; for remote ones the packaging, their nodes being bridges.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bake.reference import parse_reference
from bake.registry import Registry
from tests.engine.grpc_bridge import GrpcBridge
from tests.engine.small import RECIPE, TOP, docker

pytestmark = [pytest.mark.engine, pytest.mark.long]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path, base: str) -> Run:
    """Run ``python -m generator -r small COMMAND`` beside a site file, with builders of its own."""

    def run(*command: str, site: str = "", base: str = base, **environment: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "small.toml").write_text(RECIPE.format(base=base))
        if site:
            (tmp_path / "site.toml").write_text(site)
        return subprocess.run(
            [sys.executable, "-m", "generator", "-r", "small.toml", *command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(TOP), "BUILDX_CONFIG": str(tmp_path / "buildx"), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def bridges() -> Iterator[tuple[GrpcBridge, GrpcBridge]]:
    with GrpcBridge() as one, GrpcBridge() as other:
        yield one, other


def farm(*bridges: GrpcBridge) -> str:
    nodes = "".join(f'[[builder.nodes]]\nendpoint = "{bridge.endpoint}"\n' for bridge in bridges)
    return f'[builder]\nname = "farm"\ndriver = "remote"\n{nodes}'


def instance(folder: Path, name: str) -> Any:
    return json.loads((folder / "buildx/instances" / name).read_text())


@pytest.fixture
def pushed_base(base: str, registry: str) -> Iterator[str]:
    """The small base in the loopback registry: there, a BuildKit that is not the engine's own can get it."""
    name = f"{registry}/lab/base:1"
    docker("tag", base, name)
    docker("push", "--quiet", name)
    docker("image", "rm", name)
    yield name
    docker("image", "rm", "--force", name, check=False)


def test_a_builder_of_two_nodes_is_made_once_used_and_removed(
    run: Run, bridges: tuple[GrpcBridge, GrpcBridge], tmp_path: Path, pushed_base: str, registry: str
) -> None:
    site = farm(*bridges)
    early = run("bake", site=site, base=pushed_base)
    assert early.returncode == 3, early.stderr
    assert "there is no builder farm" in early.stderr
    assert f"run `builder up`: {tmp_path / 'site.toml'} describes it" in early.stderr

    made = run("builder", "up", site=site)
    assert (made.returncode, made.stdout) == (0, "farm\n"), made.stderr
    assert [node["Endpoint"] for node in instance(tmp_path, "farm")["Nodes"]] == [one.endpoint for one in bridges]
    before = (tmp_path / "buildx/instances/farm").stat().st_mtime_ns
    again = run("builder", "up")
    assert "is there, as described" in again.stderr
    assert (tmp_path / "buildx/instances/farm").stat().st_mtime_ns == before

    # Nothing of it needs an engine here: none answers.
    nowhere = f"unix://{tmp_path}/none.sock"
    done = run("bake", "--push", "--registry", registry, base=pushed_base, DOCKER_HOST=nowhere)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{registry}/uplift-test-small:1@sha256:")
    assert Registry(registry).manifest(parse_reference(f"{registry}/uplift-test-small:1")).status == 200
    assert bridges[0].connections + bridges[1].connections > 4
    assert docker("image", "ls", "--quiet", f"{registry}/uplift-test-small:1") == ""

    rows = {row["name"]: row for row in json.loads(run("builder", "ls", "--format", "json").stdout)["builders"]}
    assert rows["farm"] == {
        "name": "farm",
        "driver": "remote",
        "nodes": 2,
        "status": "running",
        "made by": "`builder up`",
        "used": True,
    }
    assert run("builder", "down").returncode == 0
    assert not (tmp_path / "buildx/instances/farm").exists()
    assert "nothing to do" in run("builder", "down").stderr


def test_a_plain_bake_elsewhere_brings_the_image_to_the_engine(
    run: Run, bridges: tuple[GrpcBridge, GrpcBridge], base: str, pushed_base: str
) -> None:
    tag = f"uplift-test-away:{os.getpid()}"
    assert run("builder", "up", site=farm(bridges[0])).returncode == 0
    try:
        done = run("bake", "--tag", tag, base=pushed_base)
        assert done.returncode == 0, done.stderr
        assert docker("run", "--rm", "--entrypoint", "grep", tag, "-c", "weights_only", "/opt/app/load.py") == "1"
    finally:
        docker("image", "rm", "--force", tag, check=False)
    checked = run("verify", base=pushed_base)
    assert checked.returncode == 0, checked.stderr
    local = run("verify", base, base=pushed_base)
    assert local.returncode == 3
    assert "the builder farm (remote) gets images from registries" in local.stderr
    found = run("doctor", "--format", "json", base=pushed_base)
    rows = {row["check"]: row for row in json.loads(found.stdout)["findings"]}
    assert rows["builder"]["severity"] == "ok"
    assert "the builder farm, driver remote: 1 node running" in rows["builder"]["message"]


def test_a_base_that_only_the_engine_holds_is_said_before_the_bake(
    run: Run, bridges: tuple[GrpcBridge, GrpcBridge], base: str, tmp_path: Path
) -> None:
    assert run("builder", "up", site=farm(bridges[0])).returncode == 0
    done = run("bake")
    assert done.returncode == 3
    assert f"only this engine holds the base image {base}; the builder farm (remote)" in done.stderr
    assert "docker push REGISTRY/NAME:TAG, then bake --base REGISTRY/NAME:TAG" in done.stderr
    assert not (tmp_path / "build/results.json").exists()


def test_the_own_builder_of_another_engine_is_known_by_its_context(run: Run, tmp_path: Path) -> None:
    home = {"DOCKER_CONFIG": str(tmp_path / "docker")}
    socket = "unix:///var/run/docker.sock"
    create = ["docker", "context", "create", "other", "--docker", f"host={socket}"]
    subprocess.run(create, env={**os.environ, **home}, check=True, capture_output=True)
    # The current engine is one that does not answer; --builder other means the engine of that context.
    told = run("doctor", "--builder", "other", "--format", "json", DOCKER_HOST=f"unix://{tmp_path}/none.sock", **home)
    rows = {row["check"]: row for row in json.loads(told.stdout)["findings"]}
    assert (rows["engine"]["severity"], rows["base"]["severity"]) == ("ok", "ok"), told.stdout
    assert f"at {socket}" in rows["engine"]["message"]
    assert "the builder other, driver docker: 1 node running" in rows["builder"]["message"]


def test_a_changed_description_is_said_and_taken_on_request(
    run: Run, bridges: tuple[GrpcBridge, GrpcBridge], tmp_path: Path
) -> None:
    assert run("builder", "up", site=farm(bridges[0])).returncode == 0
    refused = run("builder", "up", site=farm(*bridges))
    assert refused.returncode == 3
    assert "made from another description; changed: endpoints" in refused.stderr
    assert len(instance(tmp_path, "farm")["Nodes"]) == 1
    done = run("builder", "up", "--replace")
    assert done.returncode == 0, done.stderr
    assert len(instance(tmp_path, "farm")["Nodes"]) == 2


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A private CA with a certificate for a server, build.lab, and one for a client."""
    folder = tmp_path / "tls"
    folder.mkdir()

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "rsa:2048", "-nodes"]
    openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=lab", "-keyout", "ca.key", "-out", "ca.pem")
    for name, extension in (("server", "subjectAltName=DNS:build.lab"), ("client", "extendedKeyUsage=clientAuth")):
        (folder / "extension").write_text(f"{extension}\n")
        openssl("req", *key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", "request")
        signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "extension"]
        openssl("x509", "-req", "-in", "request", *signing, "-out", f"{name}.pem")
    return folder


def test_certificates_of_a_private_ca_open_a_remote_builder(run: Run, authority: Path, tmp_path: Path) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority / "ca.pem")
    tls.load_cert_chain(authority / "server.pem", authority / "server.key")
    tls.verify_mode = ssl.CERT_REQUIRED
    with GrpcBridge(tls=tls) as bridge:
        site = f'{farm(bridge)}\n[builder.remote]\ncacert = "tls/ca.pem"\nservername = "build.lab"\n'
        refused = run("builder", "up", site=site)
        assert refused.returncode == 3
        assert "builder farm: BuildKit does not answer: " in refused.stderr
        assert "mend the endpoint and the certificates" in refused.stderr
        assert not (tmp_path / "buildx/instances/farm").exists()
        missing = run("builder", "up", site=f'{site}cert = "tls/client.pem"\nkey = "tls/gone.key"\n')
        assert missing.returncode == 3
        assert f"{authority / 'gone.key'}: a file of the [builder] table can't be read" in missing.stderr
        made = run("builder", "up", site=f'{site}cert = "tls/client.pem"\nkey = "tls/client.key"\n')
        assert made.returncode == 0, made.stderr
        options = instance(tmp_path, "farm")["Nodes"][0]["DriverOpts"]
        assert options["cacert"] == str(authority / "ca.pem")


def test_builders_of_others_are_left_alone(run: Run, bridges: tuple[GrpcBridge, GrpcBridge], tmp_path: Path) -> None:
    environment = {**os.environ, "BUILDX_CONFIG": str(tmp_path / "buildx")}
    create = ["docker", "buildx", "create", "--name", "farm", "--driver", "remote", bridges[1].endpoint]
    subprocess.run(create, env=environment, check=True, capture_output=True)
    up, down = run("builder", "up", "--replace", site=farm(bridges[0])), run("builder", "down", "farm")
    assert (up.returncode, down.returncode) == (3, 3)
    assert "that `builder up` did not make" in up.stderr
    assert "did not make the builder farm" in down.stderr
    assert instance(tmp_path, "farm")["Nodes"][0]["Endpoint"] == bridges[1].endpoint


def test_a_node_that_does_not_answer(run: Run) -> None:
    with GrpcBridge() as bridge:
        assert run("builder", "up", site=farm(bridge)).returncode == 0
    done = run("bake", base=f"127.0.0.1:1/nothing@sha256:{'0' * 64}")
    assert done.returncode == 3
    assert "1 of 1 nodes of the builder farm do not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_builder_whose_image_can_not_be_had_leaves_nothing_behind(run: Run, tmp_path: Path, registry: str) -> None:
    site = f"""
[builder]
name = "box"
driver = "docker-container"
[builder.docker-container]
image = "{registry}/no/such-buildkit:1"
env = {{ HTTP_PROXY = "http://a,b" }}
"""
    done = run("builder", "up", site=site)
    assert done.returncode == 3
    assert "builder box: BuildKit does not start: " in done.stderr
    assert "[builder.docker-container] image" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "buildx/instances/box").exists()
    assert not (tmp_path / "buildx/image-uplift/box.json").exists()
    assert docker("ps", "--all", "--quiet", "--filter", "name=buildx_buildkit_box0") == ""


def test_a_cluster_is_told_what_is_described(tmp_path: Path) -> None:
    """Make one without a cluster: buildx checks and keeps the options before it talks to any."""
    from bake import builders
    from generator.building import described_by, plan_builder
    from generator.recipe import load_recipe
    from generator.site import load_site

    (tmp_path / "kubeconfig").write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n"
        "contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n"
    )
    (tmp_path / "site.toml").write_text("""
[builder]
name = "cluster"
driver = "kubernetes"
platforms = ["linux/amd64"]
[builder.kubernetes]
namespace = "ci"
replicas = 3
requests = { cpu = "8", memory = "32Gi" }
limits.ephemeral-storage = "200Gi"
nodeselector = { "kubernetes.io/arch" = "amd64", pool = "build" }
labels = { team = "imaging" }
annotations = { a = "b", c = "d" }
rootless = true
[[builder.kubernetes.tolerations]]
key = "dedicated"
operator = "Exists"
[[builder.kubernetes.tolerations]]
key = "gpu"
value = "no"
effect = "NoSchedule"
""")
    place = load_site(tmp_path / "site.toml", recipe="demo")
    described = described_by(load_recipe("demo").recipe, "demo", place)
    assert described is not None
    plan = plan_builder(described.description, path=described.path)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("BUILDX_CONFIG", str(tmp_path / "buildx"))
        patched.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        builders.create(plan.as_data())
    node = instance(tmp_path, "cluster")["Nodes"][0]
    assert node["DriverOpts"] == {
        "namespace": "ci",
        "replicas": "3",
        "requests.cpu": "8",
        "requests.memory": "32Gi",
        "limits.ephemeral-storage": "200Gi",
        "nodeselector": "kubernetes.io/arch=amd64,pool=build",
        "labels": "team=imaging",
        "annotations": "a=b,c=d",
        "rootless": "true",
        "tolerations": "key=dedicated,operator=Exists;key=gpu,value=no,effect=NoSchedule",
    }
    assert node["Platforms"] == [{"architecture": "amd64", "os": "linux"}]
    assert list(node["Files"]) == ["buildkitd.toml"]
