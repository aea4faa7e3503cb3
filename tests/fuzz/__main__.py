"""Feeds targets with inputs made worse: ``python -m tests.fuzz [TARGET…] [--count N] [--seed S] [--first N]``.

One line for each target on stdout; what was found goes to stderr, and the input that brought it about into the corpus,
which the unit tests feed from then on. Each target runs in a process of its own with bounded memory. The input of a
number is the same on every machine: ``--first NUMBER --count 1`` feeds it again.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import multiprocessing
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from tests.fuzz.guard import Finding, finding
from tests.fuzz.targets import CORPUS, TARGETS, Target

MEMORY = 3 << 30  # bytes of address space beyond what the process has when it starts
_SMALLER = 300  # tries to make an input smaller
_PATIENCE = 20.0  # seconds for them


def main() -> int:
    """Run; 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; without: all")
    parser.add_argument("--count", type=int, default=1000, help="inputs for each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    options = parser.parse_args()
    if unknown := set(options.targets) - TARGETS.keys():
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    found = 0
    for name in options.targets or TARGETS:
        started = time.monotonic()
        count = _run(TARGETS[name], options.seed, range(options.first, options.first + options.count))
        seconds = time.monotonic() - started
        print(f"{name:12} {options.count:7,} inputs {seconds:8.1f} s {count:3} findings", flush=True)
        found += count
    return 1 if found else 0


def _run(target: Target, seed: int, numbers: range) -> int:
    """Feed inputs in a process of their own, and go on behind one that ended it."""
    fork = multiprocessing.get_context("fork")
    known = fork.Manager().dict()
    number = fork.Value("q", numbers.start)
    while number.value < numbers.stop:
        rest = range(number.value, numbers.stop)
        process = fork.Process(target=_feed, args=(target, seed, rest, number, known))
        process.start()
        process.join()
        if process.exitcode:
            _told(
                target,
                target.input(seed, number.value),
                Finding("the process", f"ended with {process.exitcode}"),
                known,
            )
            number.value += 1
    return len(known)


def _feed(target: Target, seed: int, numbers: range, number: Any, known: Any) -> None:
    with Path("/proc/self/statm").open() as file:
        limit = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for number.value in numbers:
        content = target.input(seed, number.value)
        with contextlib.redirect_stdout(None):
            result = finding(target, content)
            if result is not None and result.place not in known:
                content = smaller(target, content, result.place)
        if result is not None and result.place not in known:
            _told(target, content, result, known)
    number.value = numbers.stop


def _told(target: Target, content: bytes, result: Finding, known: Any) -> None:
    known[result.place] = True
    path = CORPUS / target.name / hashlib.sha256(content).hexdigest()[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    print(f"{path}: {result.place}\n{result.text}", file=sys.stderr, flush=True)


def smaller(target: Target, content: bytes, place: str) -> bytes:
    """Leave out parts of an input as long as it brings the same about."""
    tries, until = iter(range(_SMALLER)), time.monotonic() + _PATIENCE
    size = len(content) // 2
    while size:
        for start in range(0, len(content), size):
            if next(tries, None) is None or time.monotonic() > until:
                return content
            less = content[:start] + content[start + size :]
            result = finding(target, less)
            if result is not None and result.place == place:
                content = less
                break
        else:
            size //= 2
    return content


if __name__ == "__main__":
    sys.exit(main())
