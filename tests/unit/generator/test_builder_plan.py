"""From a description to what buildx is told: the golden text of buildkitd.toml, and the options by their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli
from hypothesis import given
from hypothesis import strategies as st

from generator.building import BuilderPlan, plan_builder
from generator.building.plan import buildkitd_toml
from generator.recipe.builder import Buildkitd, Description

GOLDEN = """\
[worker.oci]
  gc = true
  max-parallelism = 4

  [[worker.oci.gcpolicy]]
    filters = ["type==source.local", "type==exec.cachemount", "type==source.git.checkout"]
    keepDuration = "720h"
    reservedSpace = "60GB"
    maxUsedSpace = "75%"
    minFreeSpace = "10%"

  [[worker.oci.gcpolicy]]
    all = true
    reservedSpace = "60GB"
    maxUsedSpace = "75%"
    minFreeSpace = "10%"

[registry."docker.io"]
  mirrors = ["registry.lab:5000/hub"]

[registry."plain.lab"]
  http = true

[registry."registry.lab:5000"]
  ca = ["/place/lab-ca.pem", "/etc/lab/bundle.pem"]
"""


def plan(ca_bundle: str | None = None, registries: tuple[str, ...] = (), **table: Any) -> BuilderPlan:
    description = Description.model_validate({"name": "farm", **table})
    bundle = Path(ca_bundle) if ca_bundle else None
    return plan_builder(description, path=Path("/place").joinpath, ca_bundle=bundle, registries=registries)


def test_the_settings_of_buildkit() -> None:
    made = plan(
        driver="docker-container",
        buildkitd={
            "max-parallelism": 4,
            "gc": {"reserved-space": "60GB"},
            "registry": {
                "registry.lab:5000": {"ca": ["lab-ca.pem"]},
                "docker.io": {"mirrors": ["registry.lab:5000/hub"]},
                "plain.lab": {"http": True},
            },
        },
    )
    assert made.config == GOLDEN.replace(', "/etc/lab/bundle.pem"', "")
    assert made.files == ("/place/lab-ca.pem",)


def test_the_places_cas_are_trusted_for_every_registry_that_a_bake_talks_to() -> None:
    settings = {
        "max-parallelism": 4,
        "gc": {"reserved-space": "60GB"},
        "registry": {
            "registry.lab:5000": {"ca": ["lab-ca.pem"]},
            "docker.io": {"mirrors": ["registry.lab:5000/hub"]},
            "plain.lab": {"http": True},
        },
    }
    made = plan("/etc/lab/bundle.pem", ("registry.lab:5000",), driver="docker-container", buildkitd=settings)
    with_hub = '[registry."docker.io"]\n  mirrors = ["registry.lab:5000/hub"]\n'
    assert made.config == GOLDEN.replace(with_hub, with_hub + '  ca = ["/etc/lab/bundle.pem"]\n')
    assert made.files == ("/etc/lab/bundle.pem", "/place/lab-ca.pem")


def test_without_settings_the_compiler_cache_is_kept_all_the_same() -> None:
    for driver in ("docker-container", "kubernetes"):
        policies = tomli.loads(plan(driver=driver).config)["worker"]["oci"]["gcpolicy"]
        assert policies[0]["filters"][1] == "type==exec.cachemount"
        assert policies[0]["reservedSpace"] == policies[1]["reservedSpace"] == "30GB"
        assert policies[1]["all"] is True


@given(
    host=st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"])),
    file=st.text(alphabet="a\"\\\x7f\n\t'é"),
)
def test_what_is_written_is_what_is_read(host: str, file: str) -> None:
    text = buildkitd_toml(Buildkitd(), {host: {"ca": [file], "http": False}})
    assert tomli.loads(text)["registry"] == {host: {"ca": [file], "http": False}}


def test_options_of_a_container() -> None:
    section = {
        "image": "reg.lab/buildkit:v0.23",
        "network": "host",
        "memory": "64g",
        "memory-swap": "64g",
        "cpu-quota": 200000,
        "cpuset-cpus": "0-15",
        "env": {"HTTP_PROXY": "http://p:1"},
    }
    table: Any = {"platforms": ["linux/amd64"], "docker-container": section}
    made = plan(driver="docker-container", **table)
    (node,) = made.nodes
    assert (node.endpoint, node.platforms) == (None, ("linux/amd64",))
    assert node.options == {
        "image": "reg.lab/buildkit:v0.23",
        "network": "host",
        "memory": "64g",
        "memory-swap": "64g",
        "cpu-quota": "200000",
        "cpuset-cpus": "0-15",
        "env.HTTP_PROXY": "http://p:1",
    }


def test_options_of_a_cluster() -> None:
    made = plan(
        driver="kubernetes",
        kubernetes={
            "namespace": "ci",
            "replicas": 4,
            "requests": {"cpu": "16", "memory": "64Gi"},
            "limits": {"ephemeral-storage": "200Gi"},
            "nodeselector": {"pool": "build", "kubernetes.io/arch": "amd64"},
            "annotations": {"a": ""},
            "tolerations": [{"key": "a", "effect": "NoExecute", "tolerationSeconds": 60}, {"operator": "Exists"}],
            "rootless": True,
            "qemu": {"install": False},
            "timeout": "5m",
        },
    )
    assert made.nodes[0].options == {
        "namespace": "ci",
        "replicas": "4",
        "requests.cpu": "16",
        "requests.memory": "64Gi",
        "limits.ephemeral-storage": "200Gi",
        "nodeselector": "pool=build,kubernetes.io/arch=amd64",
        "annotations": "a=",
        "tolerations": "key=a,effect=NoExecute,tolerationSeconds=60;operator=Exists",
        "rootless": "true",
        "qemu.install": "false",
        "timeout": "5m",
    }


def test_remote_nodes_share_certificates_and_may_have_their_own() -> None:
    made = plan(
        "/etc/lab/bundle.pem",
        ("registry.lab",),
        driver="remote",
        remote={"cacert": "ca.pem", "cert": "cert.pem", "key": "key.pem"},
        nodes=[
            {"endpoint": "tcp://a:1234"},
            {
                "endpoint": "tcp://b:1234",
                "cert": "/b.pem",
                "key": "/b.key",
                "servername": "b.lab",
                "platforms": ["linux/arm64"],
            },
        ],
    )
    assert made.config == ""  # buildx refuses settings for a BuildKit that it does not start
    shared = {"cacert": "/place/ca.pem", "cert": "/place/cert.pem", "key": "/place/key.pem"}
    assert [node.options for node in made.nodes] == [
        shared,
        {**shared, "cert": "/b.pem", "key": "/b.key", "servername": "b.lab"},
    ]
    assert made.nodes[1].platforms == ("linux/arm64",)
    assert made.files == ("/b.key", "/b.pem", "/place/ca.pem", "/place/cert.pem", "/place/key.pem")


def test_the_fingerprint_follows_the_description_and_the_files() -> None:
    one = plan(driver="docker-container", buildkitd={"registry": {"r": {"ca": ["ca.pem"]}}})
    assert one.fingerprint({"/place/ca.pem": b"a"}) == one.fingerprint({"/place/ca.pem": b"a"})
    assert one.fingerprint({"/place/ca.pem": b"a"}) != one.fingerprint({"/place/ca.pem": b"b"})
    other = plan(driver="docker-container", buildkitd={"max-parallelism": 2, "registry": {"r": {"ca": ["ca.pem"]}}})
    assert one.fingerprint({}) != other.fingerprint({})


def test_variables_of_the_builder_are_noted_as_digests_alone() -> None:
    table: Any = {"docker-container": {"env": {"HTTP_PROXY": "http://me:canary@p"}}}
    made = plan(driver="docker-container", **table)
    assert made.nodes[0].options["env.HTTP_PROXY"] == "http://me:canary@p"
    assert "canary" not in str(made.as_note())
