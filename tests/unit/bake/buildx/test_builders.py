"""What buildx prints, read. The texts are buildx 0.29's own."""

from __future__ import annotations

import pytest

from bake.buildx.builder_facts import BuilderFacts, NodeFacts, certificate_folder, parse_inspect
from bake.buildx.builders import last_line
from bake.doctor import Severity, Subject
from bake.doctor import builder as check
from bake.doctor.finding import Engine

ENGINE = """\
Name:   default
Driver: docker

Nodes:
Name:             default
Endpoint:         default
Status:           running
BuildKit version: v0.0.0+unknown
Platforms:        linux/amd64, linux/amd64/v2
Labels:
 org.mobyproject.buildkit.worker.hostname:             vm
GC Policy rule#0:
 All:            true
 Filters:
 Reserved Space: 20GiB
 Max Used Space: 100GiB
 Min Free Space: 8GiB
"""
CONTAINER = """\
Name:          box
Driver:        docker-container
Last Activity: 2026-11-23 19:26:39 +0000 UTC

Nodes:
Name:                  box0
Endpoint:              unix:///var/run/docker.sock
Driver Options:        env.A="b" memory="4g" network="host"
Status:                running
BuildKit daemon flags: --allow-insecure-entitlement=network.host
BuildKit version:      v0.23.2
Platforms:             linux/amd64*, linux/386
GC Policy rule#0:
 All:            false
 Filters:        type==source.local,type==exec.cachemount,type==source.git.checkout
 Keep Duration:  48h0m0s
 Max Used Space: 488.3MiB
GC Policy rule#1:
 All:            false
 Keep Duration:  1440h0m0s
 Reserved Space: 9.313GiB
File#buildkitd.toml:
 > [registry]
 >   [registry."a.example:5000"]
 >     ca = ["/etc/buildkit/certs/a.example_5000/ca.crt"]
File#certs/a.example_5000/ca.crt:
 > Name: no node
"""
DEAD = """\
Name:          default
Driver:
Last Activity: 2026-11-23 19:28:53 +0000 UTC
Error:         Cannot connect to the Docker daemon at unix:///none.sock. Is the docker daemon running?
"""
FAR = """\
Name:          far
Driver:        remote

Nodes:
Name:     far0
Endpoint: tcp://10.0.0.7:1234
Status:   inactive

Name:     far1
Endpoint: tcp://10.0.0.8:1234
Error:    context deadline exceeded
"""


def test_an_engines_own_builder() -> None:
    facts = parse_inspect(ENGINE)
    assert (facts.name, facts.driver, facts.own, facts.context) == ("default", "docker", True, None)
    node = facts.nodes[0]
    assert (node.running, node.version, node.kept) == (True, "0.0.0+unknown", 20 * 2**30)
    assert node.platforms == ("linux/amd64", "linux/amd64/v2")


def test_a_container_with_the_registries_that_it_has_certificates_for() -> None:
    facts = parse_inspect(CONTAINER)
    assert not facts.own
    assert len(facts.nodes) == 1
    node = facts.nodes[0]
    assert node.certificates == {certificate_folder("a.example:5000")}
    assert node.version == "0.23.2"
    assert node.kept == int(488.3 * 2**20)
    assert not node.elsewhere  # network="host": 127.0.0.1 is this machine


def test_an_engine_that_does_not_answer_still_counts_as_the_one_that_builds() -> None:
    assert parse_inspect(DEAD).own


def test_nodes_that_do_not_answer() -> None:
    facts = parse_inspect(FAR)
    assert [node.running for node in facts.nodes] == [False, False]
    assert facts.nodes[1].error == "context deadline exceeded"
    assert all(node.elsewhere for node in facts.nodes)


def test_another_engine_is_known_by_its_context() -> None:
    assert BuilderFacts(name="ci", driver="docker", nodes=(node(endpoint="ci"),)).context == "ci"


def test_the_line_that_says_what_is_wrong() -> None:
    text = "#1 booting\n#1 ERROR: x\n------\n > [internal] booting buildkit:\n------\nERROR: no such host\n"
    assert last_line(text) == "no such host"
    assert last_line("") == "no reason given"


def node(**changes) -> NodeFacts:
    plain = {"name": "n0", "endpoint": "tcp://10.0.0.7:1234", "status": "running", "platforms": ("linux/amd64",)}
    return NodeFacts(**{**plain, **changes})


def found(monkeypatch, facts: BuilderFacts, **subject) -> list[tuple[Severity, str]]:
    monkeypatch.setattr(Engine, "_builder", facts)
    wanted = Subject(**subject)
    return [(finding.severity, finding.message) for finding in check.check(wanted, Engine(wanted))]


def test_a_builder_that_runs_is_told_in_one_row(monkeypatch) -> None:
    facts = BuilderFacts(name="farm", driver="remote", nodes=(node(version="0.23.2"), node(name="n1")))
    message = "the builder farm, driver remote: 2 nodes running, BuildKit 0.23.2, linux/amd64"
    assert found(monkeypatch, facts) == [(Severity.OK, message)]


@pytest.mark.parametrize(
    ("facts", "subject", "severity", "part"),
    [
        (BuilderFacts(name="b", driver="remote", nodes=(node(status="inactive"),)), {}, Severity.ERROR, "not answer"),
        (
            BuilderFacts(name="b", driver="remote", nodes=(node(), node(status="", error="refused"))),
            {},
            Severity.WARNING,
            "1 of 2 nodes of the builder b do not answer: n0 (tcp://10.0.0.7:1234): refused",
        ),
        (
            BuilderFacts(name="b", driver="kubernetes", nodes=(node(status="inactive"),)),
            {},
            Severity.OK,
            "not started yet",
        ),
        (BuilderFacts(name="b", driver="remote", nodes=(node(version="0.11.6"),)), {}, Severity.ERROR, "0.12 or later"),
        (BuilderFacts(name="b", driver="remote", nodes=(node(kept=512 * 10**6),)), {}, Severity.WARNING, "installer"),
        (
            BuilderFacts(name="b", driver="remote", nodes=(node(),)),
            {"registry": "127.0.0.1:5000/lab"},
            Severity.WARNING,
            "127.0.0.1:5000 is not this machine's registry",
        ),
        (
            BuilderFacts(name="b", driver="docker-container", nodes=(node(certificates=frozenset({"reg.lab"})),)),
            {"registry": "reg.lab/x", "base": "other.lab:5000/base:1", "ca_bundle": __file__},
            Severity.WARNING,
            "made without a CA for other.lab:5000",
        ),
    ],
)
def test_what_spoils_or_stops_a_bake(monkeypatch, facts, subject, severity, part) -> None:
    rows = found(monkeypatch, facts, **subject)
    assert [row for row in rows if row[0] is severity and part in row[1]], rows
    if severity is Severity.WARNING:
        assert sum(row[0] is not Severity.OK for row in rows) == 1


def test_no_warning_where_the_loopback_address_is_the_same_machines(monkeypatch) -> None:
    facts = BuilderFacts(name="b", driver="remote", nodes=(node(endpoint="tcp://127.0.0.1:1234"),))
    assert [row[0] for row in found(monkeypatch, facts, registry="127.0.0.1:5000")] == [Severity.OK]
