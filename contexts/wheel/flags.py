"""The flags of a compiler call: the recipe's archs, and what makes two compiles of one source equal to the byte.

slot.py asks this for every call of nvcc and of the host compiler that a build makes.

- A setup.py may name archs of its own (``-gencode``, ``-arch``, ``-code``), and torch then leaves out those of
  TORCH_CUDA_ARCH_LIST. They are dropped and the recipe's put in, unless the recipe says ``own-archs``.
- nvcc puts its process id into symbol names, and the host compiler random numbers: each source gets a seed of its own.
- A source's place gets into messages (``__FILE__``): it is named from the top of the package on.

A call that compiles nothing (``--version``, ``--dryrun``, preprocessing, a link) is left as it is, and so is one that
makes PTX or a cubin: that is for one arch, and a file of its own.

Environment: ``FLAGS_ARCHS`` the recipe's archs, as torch writes them, empty: the package's own; ``FLAGS_TOP`` folder of
the package's source; ``FLAGS_SEEDED``, ``FLAGS_MAPPED`` compilers that know the options, by name; ``FLAGS_FOREIGN``
file that gets a line for each call with archs of its own. Standard library only; runs inside a compile target.
"""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Pairs = frozenset[tuple[str, str]]

NVCC, HOST = "nvcc", "c++"
SUFFIXES = (".cu", ".cpp", ".cc", ".cxx", ".c", ".ii", ".ptx", ".h")
# Source: NVIDIA, *CUDA Compiler Driver NVCC* 13.0. Each takes its value after a "=" or as the next word.
_GENCODE, _ARCH, _CODE = ("-gencode", "--generate-code"), ("-arch", "--gpu-architecture"), ("-code", "--gpu-code")
_FILES = ("-optf", "--options-file")
_ARCH_OPTIONS = (*_GENCODE, *_ARCH, *_CODE)
_PASSED_ON = re.compile(r"-X[a-z]+|--(compiler|linker|archive|ptxas|nvlink|cudafe|fatbin|nvvm)-options")
_PART = re.compile(r"(arch|code)=(\[[^\]]*\]|[^,]*)")
_COMPILES_NOTHING = re.compile(
    "-[VhEM]|-MM|-(arch|code)-ls|--?(version|help|dryrun|preprocess|ptx|cubin|optix-ir|ltoir)"
    "|--(list-gpu-(arch|code)|generate-(nonsystem-)?dependencies)"
)
_DEVICE_LINK = ("-dlink", "--device-link")


def settings(top: Path, archs: str, foreign: Path, nvcc: Path) -> dict[str, str]:
    """Give what this reads of the environment, for a build; a setup.py may change TORCH_CUDA_ARCH_LIST, but not this.

    Args:
        top: folder of the package's source. archs: the recipe's, "" where the package has its own. foreign: see above.
            nvcc: the compiler, which is asked what it knows.
    """
    seeded = {HOST: True, NVCC: "--frandom-seed" in answer(str(nvcc), "--help")}
    mapped = answer("/usr/bin/c++", "-ffile-prefix-map=a=b", "-E", "-x", "c++", "/dev/null")
    if not seeded[NVCC]:
        print("flags.py: this nvcc knows no --frandom-seed: two compiles may differ in symbol names", flush=True)
    if not archs:
        print("flags.py: the archs are left to the package (own-archs)", flush=True)
    found = {}
    for name in ("NVCC_PREPEND_FLAGS", "NVCC_APPEND_FLAGS"):
        rest, pairs = split(shlex.split(os.environ.get(name, "")))
        if pairs and archs:
            print(f"flags.py: {name} names archs; they are left out", flush=True)
            found[name] = " ".join(map(shlex.quote, rest))
    return {
        **found,
        "FLAGS_ARCHS": archs,
        "FLAGS_TOP": str(top),
        "FLAGS_SEEDED": " ".join(name for name, known in seeded.items() if known),
        "FLAGS_MAPPED": f"{HOST} {NVCC}" if mapped else "",
        "FLAGS_FOREIGN": str(foreign),
    }


def answer(*command: str) -> str:
    """Give what a compiler says; "" where it refuses."""
    asked = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return "" if asked.returncode else asked.stdout.decode("utf-8", "replace")


def settle(command: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Give a call with the flags that it gets; the call itself, where it compiles nothing or is no compiler's."""
    place = next((place for place, word in enumerate(command) if Path(word).name in (NVCC, HOST)), None)
    if place is None:
        return list(command)
    compiler, words = Path(command[place]).name, list(command[place + 1 :])
    source = source_of(words)
    device_code = compiler == NVCC and has_device_code(words)
    if device_code:
        words = with_archs(words, source, environment)
    if device_code or "-c" in words:
        words += equal(compiler, words, source, environment)
    return [*command[: place + 1], *words]


def source_of(words: Sequence[str]) -> str:
    """Name the file that a call compiles; "" where it names none."""
    return next((word for word in reversed(words) if word.endswith(SUFFIXES)), "")


def has_device_code(words: Sequence[str]) -> bool:
    """Tell whether nvcc compiles or links device code for the archs that it is given."""
    if any(map(_COMPILES_NOTHING.fullmatch, words)):
        return False
    language = " -x cu " in f" {' '.join(words)} "
    return language or any(word.endswith(".cu") or word in (*_DEVICE_LINK, "-x=cu") for word in words)


def equal(compiler: str, words: Sequence[str], source: str, environment: Mapping[str, str]) -> list[str]:
    """Give the options by which the same source gives the same bytes, as far as the compiler knows them.

    nvcc hands its seed on to the host compiler. It takes text alone for a seed: with a number of 64 bits its names
    still differed from call to call (13.0, measured).
    """
    top = environment.get("FLAGS_TOP", "")
    name = os.path.relpath(source, top) if top and source else source
    if name.startswith(os.pardir):
        name = Path(source).name  # made elsewhere, maybe in a folder with a random name
    options = []
    seeded = any("frandom-seed" in word for word in words)
    if name and not seeded and compiler in environment.get("FLAGS_SEEDED", "").split():
        seed = "seed-" + hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        options.append(f"{'--' if compiler == NVCC else '-'}frandom-seed={seed}")
    if top and compiler in environment.get("FLAGS_MAPPED", "").split():
        mapped = f"-ffile-prefix-map={top}={Path(top).name}"
        options += ["-Xcompiler", mapped] if compiler == NVCC else [mapped]
    return options


def with_archs(words: Sequence[str], source: str, environment: Mapping[str, str]) -> list[str]:
    """Put the recipe's archs in the place of others, and say so the first time that those are asked for."""
    archs = environment.get("FLAGS_ARCHS", "")
    if not archs:
        return list(words)
    rest, given = split(inlined(words))
    wanted = of_list(archs)
    if given == wanted:
        return list(words)
    if given:
        asked = ", ".join(sorted({code for _, code in given}))
        if note(Path(environment["FLAGS_FOREIGN"]), asked):
            print(
                f"flags.py: {source or 'a device link'} asks for {asked}; compiled for {archs}, the recipe's archs, "
                "like all that follow (own-archs = true keeps an extension's own)",
                file=sys.stderr,
                flush=True,
            )
    return [*rest, *(f"-gencode=arch={arch},code={code}" for arch, code in sorted(wanted))]


def of_list(archs: str) -> Pairs:
    """Read archs as torch writes them (``8.0;9.0a;12.0+PTX``) into pairs of what nvcc calls arch and code."""
    pairs: set[tuple[str, str]] = set()
    for item in re.split(r"[;,\s]+", archs.strip(";, ")):
        number = item.replace("+PTX", "").replace(".", "")
        pairs.add((f"compute_{number}", f"sm_{number}"))
        if item.endswith("+PTX"):
            pairs.add((f"compute_{number}", f"compute_{number}"))
    return frozenset(pairs)


def split(words: Iterable[str]) -> tuple[list[str], Pairs]:
    """Take the options that name archs out of a call; gives the rest and the archs."""
    rest: list[str] = []
    pairs: set[tuple[str, str]] = set()
    archs: list[str] = []
    codes: list[str] = []
    remaining = iter(words)
    for word in remaining:
        option, joined, value = word.partition("=")
        if _PASSED_ON.fullmatch(word):
            rest += [word, *_next(remaining)]
        elif option not in _ARCH_OPTIONS:
            rest.append(word)
        else:
            value = value if joined else "".join(_next(remaining))
            if option in _GENCODE:
                pairs |= _generated(value)
            else:
                (archs if option in _ARCH else codes).extend(value.split(","))
    return rest, frozenset(pairs | _plain(archs, codes))


def _next(words: Iterator[str]) -> list[str]:
    return list(itertools.islice(words, 1))


def _generated(value: str) -> set[tuple[str, str]]:
    parts = dict(_PART.findall(value.replace('"', "").replace("'", "")))
    return {(parts.get("arch", ""), code) for code in parts.get("code", "?").strip("[]").split(",")}


def _plain(archs: Sequence[str], codes: Sequence[str]) -> set[tuple[str, str]]:
    """Read ``-arch`` and ``-code``: an sm_ alone stands for its PTX too."""
    pairs: set[tuple[str, str]] = set()
    for arch in archs or ([""] if codes else []):
        virtual = arch.replace("sm_", "compute_")
        pairs |= {(virtual, code) for code in codes or dict.fromkeys((arch, virtual))}
    return pairs


def inlined(words: Iterable[str]) -> list[str]:
    """Put a file of options in its own place where it names archs."""
    found: list[str] = []
    remaining = iter(words)
    for word in remaining:
        option, joined, value = word.partition("=")
        if option not in _FILES:
            found.append(word)
            continue
        given = [word] if joined else [word, *_next(remaining)]
        for name in (value if joined else given[-1]).split(","):
            inner = shlex.split(Path(name).read_text(encoding="utf-8")) if Path(name).is_file() else []
            named = any(word.partition("=")[0] in _ARCH_OPTIONS for word in inner)
            found += inner if named else [_FILES[1], name]
    return found


def summary(foreign: Path, archs: str) -> str:
    """Say how many calls had archs of their own, and which; "": none had."""
    asked = foreign.read_text(encoding="utf-8").splitlines() if foreign.exists() else []
    others = ", ".join(sorted({name for line in asked for name in line.split(", ")}))
    return f"archs: {len(asked)} calls of nvcc asked for {others}; compiled for {archs}" if asked else ""


def note(file: Path, asked: str) -> bool:
    """Note a call with archs of its own; tells whether it is the first with these."""
    with file.open("a+", encoding="utf-8") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        log.seek(0)
        first = f"{asked}\n" not in log.readlines()
        log.write(f"{asked}\n")
    return first
