"""Works on files one by one, each in a process of its own: what crashes, ends or hangs there ends that file alone.

The processes are forks of one that has imported torch and run nothing parallel, so they start at once; each has its
own `sys.path`, modules and settings, which need not be put back.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence

from conversion.failures import describe

LIMIT = 1800.0  # seconds for one file
_STACK = 1 << 29  # bytes; pickle saves nested containers by recursion
_DEPTH = 1_000_000
_POLL = 0.02
_MEMORY_FACTOR = 8  # of a file's size: what loading, copying and comparing it may take


@dataclass(frozen=True)
class Outcome:
    """What became of one file: a result as JSON has it, or the reason why there is none."""

    file: str
    result: Any = None
    error: Optional[str] = None


@dataclass
class _Worker:
    file: str
    process: int
    answer: str
    deadline: float
    weight: int


def each(work: Callable[[str], Any], files: Sequence[str], limit: float = LIMIT) -> Iterator[Outcome]:
    """The outcomes of ``work(file)``, in the order of the files; as many at a time as there are cores and memory.

    Args:
        work: gives what JSON can hold; what it raises is the file's error.
        files: what to work on.
        limit: seconds after which a file's process is ended.
    """
    with tempfile.TemporaryDirectory() as folder:
        waiting: List[str] = list(files)
        running: List[_Worker] = []
        done: Dict[str, Outcome] = {}
        room = _available_memory()
        try:
            for file in files:
                while file not in done:
                    while waiting and _fits(waiting[0], running, room):
                        running.append(_start(work, waiting.pop(0), folder, limit))
                    for worker in list(running):
                        outcome = _ended(worker, limit)
                        if outcome is not None:
                            running.remove(worker)
                            done[worker.file] = outcome
                    time.sleep(0 if file in done else _POLL)
                yield done.pop(file)
        finally:  # of an interrupt, too
            for worker in running:
                _kill(worker.process)
                os.waitpid(worker.process, 0)


def preload(modules: Iterable[str]) -> None:
    """Import libraries that a file has needed, once for the processes that are still to come."""
    for name in modules:
        with contextlib.suppress(Exception):  # whoever needs it says what is wrong
            importlib.import_module(name)


def _fits(file: str, running: Sequence[_Worker], room: int) -> bool:
    if not running:
        return True
    cores = len(os.sched_getaffinity(0))
    return len(running) < cores and sum(worker.weight for worker in running) + _weight(file) <= room


def _weight(file: str) -> int:
    try:
        return os.stat(file).st_size * _MEMORY_FACTOR
    except OSError:
        return 0


def _available_memory() -> int:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return 0


def _start(work: Callable[[str], Any], file: str, folder: str, limit: float) -> _Worker:
    sys.stdout.flush()
    sys.stderr.flush()
    handle, answer = tempfile.mkstemp(dir=folder)
    os.close(handle)
    process = os.fork()
    if process == 0:
        _child(work, file, answer)
    return _Worker(file, process, answer, time.monotonic() + limit, _weight(file))


def _child(work: Callable[[str], Any], file: str, answer: str) -> None:
    """The life of a process; never returns."""
    os.setsid()  # what the model's code starts ends with it
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # code that asks on the terminal must not wait for an answer
    os.dup2(2, 1)  # what it prints must not get between the lines of the report
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(
            "1000", encoding="ascii"
        )  # it, and not the build, where memory ends
    sys.argv = [os.path.basename(file)]
    sys.setrecursionlimit(_DEPTH)
    threading.stack_size(_STACK)

    def run() -> None:
        try:
            content: Dict[str, Any] = {"result": work(file)}
        except BaseException as error:  # noqa: BLE001 - also SystemExit of code that thinks it is a program
            content = {"error": _words(error)}
        Path(answer).write_text(json.dumps(content), encoding="utf-8")

    status = 1
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        sys.stderr.flush()
        status = 0
    finally:  # an interrupt that the model's code sends itself must not unwind into what the parent goes on with
        os._exit(status)


def _words(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"the model's code ended the program (SystemExit: {error.code}), as one does that reads a command line"
    if isinstance(error, MemoryError):
        return "needs more memory than there is"
    return describe(error)


def _ended(worker: _Worker, limit: float) -> Optional[Outcome]:
    process, status = os.waitpid(worker.process, os.WNOHANG)
    if process == 0:
        if time.monotonic() < worker.deadline:
            return None
        _kill(worker.process)
        os.waitpid(worker.process, 0)
        return Outcome(worker.file, error=f"was not done after {limit:g} s")
    _kill(worker.process)  # what it left running
    content, reason = _answer(worker.answer), _reason(status)
    if reason is not None or content is None:
        return Outcome(worker.file, error=reason or "its process ended without a word")
    return Outcome(worker.file, content.get("result"), content.get("error"))


def _kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process, signal.SIGKILL)


def _answer(path: str) -> Optional[Dict[str, Any]]:
    try:
        content: Dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content


def _reason(status: int) -> Optional[str]:
    """Why a process ended, unless it ended well."""
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        hint = ", most likely for want of memory" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"
    code = os.WEXITSTATUS(status)
    return f"the model's code ended the process with status {code}" if code else None
