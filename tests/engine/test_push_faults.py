"""Pushes through a proxy that does to them what networks and registries do: what the user sees, and what stays whole.

An earlier version lies in the registry under the tag that is pushed to. ``-s`` prints all that happened as a table.

Proves the thing: the faults are made on the wire, the registry and the pushes are real.
"""

from __future__ import annotations

import dataclasses
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine.network import faults
from tests.engine.network.authority import Authority
from tests.engine.network.engine import Engine
from tests.engine.network.fixtures import ACCOUNTS
from tests.engine.network.proxy import FaultProxy
from tests.engine.network.registry import PrivateRegistry
from tests.engine.network.switch import Switch
from tests.engine.network.tokens import TokenServer
from tests.engine.network.traffic import Traffic
from tests.engine.small import RECIPE, TOP

pytestmark = [pytest.mark.engine, pytest.mark.long]

REPOSITORY, TAG = "lab/faults", "stable"
USER, PASSWORD = next(iter(ACCOUNTS.items()))
MORE = 'install = ["six==1.17.0", "pygments==2.19.2"]'  # a layer of more than a megabyte
HALF = 500_000  # bytes of that layer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Push:
    """One run of ``bake --push``."""

    status: int
    said: str
    seconds: float
    traffic: Traffic

    @property
    def sent(self) -> int:
        return self.traffic.uploaded_bytes.get(REPOSITORY, 0)

    @property
    def news(self) -> list[str]:
        """What it said of the push."""
        return [line for line in self.said.splitlines() if re.match(r"(push|tag \S+|error): ", line)]


@dataclasses.dataclass(kw_only=True)
class Site:
    """A build server, its registry behind a proxy, and an earlier version under the tag."""

    folder: Path
    engine: Engine
    registry: PrivateRegistry
    proxy: FaultProxy
    bundle: Path
    kept: Path = Path()
    old: str = ""
    rows: list[tuple[str, ...]] = dataclasses.field(default_factory=list)

    def push(self, *options: str, meanwhile: Callable[[subprocess.Popen[str]], None] = lambda _: None) -> Push:
        """Bake and push; ``meanwhile`` runs here while it does."""
        mark, began = self.proxy.mark(), time.monotonic()
        command = [
            "-r",
            "small.toml",
            "bake",
            "--push",
            "--registry",
            f"{self.proxy.host}/lab",
            "--tag",
            f"faults:{TAG}",
        ]
        command += ["--ca-bundle", str(self.bundle), "--username", USER, "--password-stdin", "--progress", "plain"]
        process = subprocess.Popen(
            [sys.executable, "-m", "generator", *command, "--push-wait", "30", *options],
            cwd=self.folder,
            env={**self.engine.environment, "PYTHONPATH": str(TOP)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(PASSWORD)
        process.stdin.close()
        process.stdin = None
        meanwhile(process)
        _, said = process.communicate(timeout=120)
        assert PASSWORD not in said
        assert "Traceback" not in said
        taken = time.monotonic() - began
        return Push(status=process.returncode, said=said, seconds=taken, traffic=self.proxy.traffic(mark))

    @property
    def digest(self) -> str:
        return self.registry.digest(REPOSITORY, TAG)

    @property
    def old_is_there(self) -> bool:
        """Whether the tag still means the earlier version, and all of it is there."""
        return self.digest == self.old and self.registry.intact(REPOSITORY, TAG)

    def survives(self, fault: str, **more: object) -> Push:
        """A push that ends well whatever befalls it: the tag moves after all of it."""
        push = self.push(**more)  # type: ignore[arg-type]
        assert push.status == 0, push.said
        self.is_published(push)
        last = max((place for place, entry in enumerate(push.traffic.requests) if entry.fault), default=-1)
        moved = [
            place
            for place, entry in enumerate(push.traffic.requests)
            if entry.method == "PUT" and entry.path.endswith(f"/manifests/{TAG}") and entry.status == 201
        ]
        assert moved
        assert min(moved) > last
        self.note(fault, push, None)
        return push

    def fails(self, fault: str, *options: str, **more: object) -> Push:
        """A push that fails: the earlier version stays, and the next run ends what was begun."""
        push = self.push(*options, **more)  # type: ignore[arg-type]
        assert push.status not in {0, 2}, push.said
        assert self.old_is_there
        self.proxy.faults.set()
        again = self.push()
        assert again.status == 0, again.said
        self.is_published(again)
        self.note(fault, push, again)
        return push

    def is_published(self, push: Push) -> None:
        assert self.digest not in {"", self.old}
        assert self.registry.intact(REPOSITORY, TAG)
        assert push.traffic.tagged[-1] == f"{REPOSITORY}:{TAG}"

    def note(self, fault: str, push: Push, again: Push | None) -> None:
        news = "<br>".join(line.replace("|", "\\|") for line in push.news) or "nothing"
        figures = (f"{push.seconds:.0f} s", f"{push.sent:,}", f"{again.sent:,}" if again else "not needed")
        # Who calls this has asserted it: a run that failed left the tag, one that did not moved it after all faults.
        self.rows.append((fault, news, str(push.status), *figures, "yes" if push.traffic.faults else ""))


HEADS = ("fault", "what the user saw", "exit", "took", "bytes sent", "bytes a re-run sent", "old tag intact")


@pytest.fixture(scope="module")
def built(
    tmp_path_factory: pytest.TempPathFactory,
    second_engine: Engine,
    second_base: str,
    private_registry: PrivateRegistry,
    authority: Authority,
    switch: Switch,
) -> Iterator[Site]:
    """The earlier version is in the registry; the next one is built, and no layer of it was ever pushed."""
    folder = tmp_path_factory.mktemp("faults")
    with FaultProxy(switch, authority, private_registry.host) as proxy:
        second_engine.trust(proxy.host, authority.certificate)
        site = Site(
            folder=folder, engine=second_engine, registry=private_registry, proxy=proxy, bundle=authority.bundle()
        )
        recipe = RECIPE.format(base=second_base)
        (folder / "small.toml").write_text(recipe)
        first = site.push()
        assert first.status == 0, first.said
        site.old = site.digest
        assert site.old_is_there
        site.kept = private_registry.keep()
        changed = recipe.replace('install = ["six==1.17.0"]', MORE)
        assert changed != recipe
        (folder / "small.toml").write_text(changed)
        yield site
        lines = [HEADS, ("---",) * len(HEADS), *site.rows]
        print("\n" + "\n".join(f"| {' | '.join(row)} |" for row in lines))  # noqa: T201 - the table of the fault tests


@pytest.fixture
def site(built: Site) -> Site:
    """The registry as it was with the earlier version alone."""
    built.registry.put_back(built.kept)
    built.proxy.faults.set()
    return built


def test_without_a_fault_only_new_layers_are_sent_and_the_tag_comes_last(site: Site) -> None:
    push = site.survives("none")
    again = site.push()
    assert (again.status, again.sent) == (0, 0), again.said
    site.note("none, the same again", again, None)
    base = site.registry.layers(REPOSITORY, site.old)
    assert base[0] in site.registry.layers(REPOSITORY, TAG)
    assert 2 * HALF < push.sent < 20 * HALF
    assert not {entry.digest for entry in push.traffic.uploads.requests} & set(base)


def test_a_connection_that_is_reset_once_costs_nothing_but_time(site: Site) -> None:
    site.proxy.faults.set(faults.reset_upload(after=HALF))
    push = site.survives("connection reset mid-blob, once")
    assert len(push.traffic.faults) == 1


def test_a_connection_that_is_always_reset_fails_the_push(site: Site) -> None:
    site.proxy.faults.set(faults.reset_upload(after=HALF, times=None))
    push = site.fails("connection reset mid-blob, each time", "--push-tries=2")
    assert push.status in {1, 3}
    assert re.search(r"the connection (was reset|broke)", push.said)


def test_server_errors_that_pass_cost_nothing_but_time(site: Site) -> None:
    site.proxy.faults.set(faults.server_errors(times=3, method="PUT|PATCH"))
    push = site.survives("500, three times")
    assert len(push.traffic.faults) == 3


def test_server_errors_that_stay_fail_the_push(site: Site) -> None:
    site.proxy.faults.set(faults.server_errors(times=None, method="PUT|PATCH", status=503))
    push = site.fails("503, each time", "--push-tries=1")
    assert "503" in push.said


def test_a_registry_that_limits_requests_is_left_alone_as_long_as_it_asks(site: Site) -> None:
    site.proxy.faults.set(faults.too_many_requests(seconds=5))
    push = site.survives("429 with Retry-After: 5")
    assert "429" in push.said


def test_a_layer_that_is_too_large_is_named_and_not_tried_again(site: Site) -> None:
    site.proxy.faults.set(faults.too_large(HALF))
    push = site.fails(f"413 above {HALF:,} bytes")
    assert "413" in push.said
    assert len(push.traffic.faults) == 1


def test_a_slow_link_only_takes_longer(site: Site) -> None:
    site.proxy.faults.set(faults.slow_uploads(300_000))
    site.survives("slow link, 300,000 bytes/s")


def test_a_registry_that_is_restarted_meanwhile_gets_the_rest(site: Site) -> None:
    gone = threading.Event()
    site.proxy.faults.set(faults.during_upload(gone.set, after=HALF, name="registry stopped", rate=HALF))

    def restart(_: subprocess.Popen[str]) -> None:
        assert gone.wait(60)
        site.proxy.down()
        site.registry.stop(kill=True)
        time.sleep(3)
        site.registry.start()
        site.proxy.up()

    site.survives("registry stopped mid-blob, back after 3 s", meanwhile=restart)


def test_a_registry_that_stays_away_fails_the_push(site: Site) -> None:
    gone = threading.Event()
    site.proxy.faults.set(faults.during_upload(gone.set, after=HALF, name="registry stopped", rate=HALF))

    def leave(process: subprocess.Popen[str]) -> None:
        assert gone.wait(60)
        site.proxy.down()
        while process.poll() is None:
            time.sleep(0.1)
        site.proxy.up()

    push = site.fails("registry stopped mid-blob, for good", "--push-tries=2", meanwhile=leave)
    assert "refuses the connection" in push.said


def test_a_tag_that_cannot_be_written_at_once_is_tried_again(site: Site) -> None:
    rule = faults.server_errors(times=2, method="PUT", status=502, path=f"/manifests/{TAG}$")
    site.proxy.faults.set(rule)
    site.survives("502 for the tag, twice")
    assert rule.struck == 2


def test_an_interrupted_push_leaves_the_tag_alone(site: Site) -> None:
    half = threading.Event()
    site.proxy.faults.set(faults.during_upload(half.set, after=HALF, name="Ctrl-C", rate=HALF))

    def interrupt(process: subprocess.Popen[str]) -> None:
        assert half.wait(60)
        process.send_signal(signal.SIGINT)

    push = site.fails("Ctrl-C mid-blob", meanwhile=interrupt)
    assert push.status == 130


@pytest.fixture
def expiring(site: Site, tmp_path: Path, switch: Switch, authority: Authority) -> Iterator[tuple[Site, TokenServer]]:
    """The same content behind a registry that wants tokens."""
    with (
        TokenServer(switch, authority, ACCOUNTS) as tokens,
        PrivateRegistry(tmp_path, switch, authority, tokens=tokens, data=site.registry.data) as registry,
        FaultProxy(switch, authority, registry.host) as proxy,
    ):
        site.engine.trust(proxy.host, authority.certificate)
        yield dataclasses.replace(site, registry=registry, proxy=proxy), tokens


def test_a_token_that_expires_meanwhile_is_fetched_anew(expiring: tuple[Site, TokenServer]) -> None:
    site, tokens = expiring
    tokens.life = 2
    site.proxy.faults.set(faults.slow_uploads(300_000))
    push = site.survives("token that expires after 2 s, told to last 300 s, on a slow link")
    assert any(entry.status == 401 for entry in push.traffic.requests)
