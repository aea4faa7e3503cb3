"""The faults: each befalls a bake at a moment, and is mended before the same command runs again."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from tests.faults.place import Bake, Place

_SETTLES = 20  # seconds in which the engine ends what a killed client had begun
_PATIENCE = 60  # seconds in which a step has to run


@dataclass
class Trial:
    """What one fault did: the status of the bake that it befell, and of the one after it."""

    kind: str
    moment: float
    push: bool
    struck: bool = False
    first: int | None = None
    again: int | None = None
    same: bool = False
    tracebacks: int = 0
    leaks: list[str] = field(default_factory=list)
    said: str = ""

    @property
    def good(self) -> bool:
        return self.again == 0 and self.same and not self.tracebacks and not self.leaks

    def as_data(self) -> dict[str, object]:
        return {**asdict(self), "good": self.good}


Fault = Callable[[Place, Bake, Trial], None]


def _client(_: Place, bake: Bake, trial: Trial) -> None:
    bake.process.send_signal(signal.SIGKILL)
    trial.struck = True


def _engine(place: Place, bake: Bake, trial: Trial) -> None:
    place.engine.kill()
    trial.struck = True
    bake.ended()
    place.engine.start()


def _step(place: Place, bake: Bake, trial: Trial) -> None:
    deadline = time.monotonic() + _PATIENCE
    while bake.process.poll() is None and time.monotonic() < deadline:
        steps = place.engine.steps()
        if steps:
            try:
                os.kill(place.chance.choice(steps), signal.SIGKILL)
            except ProcessLookupError:
                continue
            trial.struck = True
            return
        time.sleep(0.01)


def _disk(place: Place, bake: Bake, trial: Trial) -> None:
    filler = place.engine.disk / "filler"
    try:
        with filler.open("wb") as file:
            while bake.process.poll() is None:  # whatever is freed meanwhile is filled too
                free = shutil.disk_usage(place.engine.disk).free
                if free >= 4096:
                    try:
                        os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, free)
                    except OSError:
                        file.write(bytes(4096))
                    trial.struck = True
                time.sleep(0.05)
    except OSError:
        trial.struck = True
        bake.ended()
    finally:
        filler.unlink(missing_ok=True)


@contextmanager
def _flapping(down: Callable[[], None], up: Callable[[], None], place: Place) -> Iterator[None]:
    stop = threading.Event()

    def flap() -> None:
        while not stop.wait(place.chance.uniform(0.1, 1.5)):
            down()
            stop.wait(place.chance.uniform(0.1, 1.5))
            up()

    thread = threading.Thread(target=flap)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _registry(place: Place, bake: Bake, trial: Trial) -> None:
    with _flapping(place.proxy.down, place.proxy.up, place):
        while bake.process.poll() is None:
            time.sleep(0.1)
    trial.struck = True


def _index(place: Place, bake: Bake, trial: Trial) -> None:
    place.index.harm = 0.5
    while bake.process.poll() is None:
        time.sleep(0.1)
    place.index.harm = 0.0
    trial.struck = True


def _same_folder(place: Place, bake: Bake, trial: Trial) -> None:
    other = place.bake(bake.folder, push=trial.push)
    trial.struck = True
    status, _, said = other.ended()
    trial.tracebacks += said.count("Traceback")
    if status:
        trial.leaks.append(f"the other bake ended with {status}: {said[-300:]}")


def _same_engine(place: Place, bake: Bake, trial: Trial) -> None:
    folder = bake.folder.with_name(f"{bake.folder.name}-other")
    folder.mkdir()
    other = place.bake(folder, push=trial.push, repository=bake.folder.name)
    trial.struck = True
    status, _, said = other.ended()
    trial.tracebacks += said.count("Traceback")
    if status:
        trial.leaks.append(f"the other bake ended with {status}: {said[-300:]}")
    place.forget(folder)


FAULTS: dict[str, Fault] = {
    "client": _client,
    "engine": _engine,
    "step": _step,
    "disk": _disk,
    "registry": _registry,
    "index": _index,
    "same-folder": _same_folder,
    "same-engine": _same_engine,
}
_AT_FIRST = {"index"}  # from the beginning on: what it gives is asked for early
_NEEDS_PUSH = {"registry"}


def digest_of(out: str) -> str:
    return out.strip().rpartition("@")[2]


def undisturbed(place: Place, *, push: bool) -> tuple[str, float]:
    """Bake from nothing; gives the digest and the seconds that it took."""
    folder = place.fresh(f"undisturbed-{'push' if push else 'load'}")
    began = time.monotonic()
    status, out, said = place.bake(folder, push=push).ended()
    assert status == 0, said
    left = place.leaks(folder, push=push)
    assert not left, left
    place.forget(folder)
    return digest_of(out), time.monotonic() - began


def strike(place: Place, kind: str, number: int, expected: dict[bool, tuple[str, float]]) -> Trial:
    """Make one fault at a random moment of a bake from nothing, bake again, and say what came of it."""
    push = kind in _NEEDS_PUSH or number % 2 == 0
    digest, seconds = expected[push]
    trial = Trial(kind=kind, moment=0 if kind in _AT_FIRST else place.chance.uniform(0.2, seconds), push=push)
    folder = place.fresh(f"{kind}-{number}")
    bake = place.bake(folder, push=push)
    time.sleep(trial.moment)
    FAULTS[kind](place, bake, trial)
    trial.first, _, said = bake.ended()
    trial.tracebacks += said.count("Traceback")
    trial.said = said[-1500:] if trial.first else ""
    trial.again, out, said = place.bake(folder, push=push).ended()
    trial.tracebacks += said.count("Traceback")
    trial.same = digest_of(out) == digest
    if trial.again or not trial.same:
        trial.said += said[-3000:]
    deadline = time.monotonic() + _SETTLES
    while (left := place.leaks(folder, push=push)) and time.monotonic() < deadline:
        time.sleep(0.5)
    trial.leaks += left
    place.forget(folder)
    return trial
