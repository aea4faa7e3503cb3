"""Compiles one source archive or tree to a wheel, with ninja and the compiler cache, and leaves just the wheel.

Runs inside a compile target: the new environment is mounted read-only over the old one, the toolkit stands at
``CUDA_HOME``, build requirements beside both. Standard library only, apart from torch and setuptools. Beside it stand
``source_tree.py`` (what is compiled), ``budget.py`` (how many compilers at once), ``slot.py`` (holds them to it),
``flags.py`` (the archs, and equal wheels from equal sources), ``precompiled.py`` (headers) and, for a recipe that says
``compile-together``, ``groups.py``.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import traceback
import zipfile
from pathlib import Path
from typing import Any, NoReturn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import budget  # noqa: E402  beside this file
import fact  # noqa: E402
import flags  # noqa: E402
import precompiled  # noqa: E402
import source_tree  # noqa: E402

CUDA_HOME = Path("/usr/local/cuda")
BUILD_REQUIRES = Path("/opt/build-requires")
WORK = Path("/build")
WRAPPERS = Path("/build-bin")
TOOLKIT = Path("/build-cuda")  # the toolkit again, with its inner compilers held to the budget
HEADERS = Path("/build-headers")
CALLS = Path("/build-calls.log")
WEIGHTS = Path("/build-weights.json")
FOREIGN = Path("/build-foreign-archs.log")
CACHE = Path("/ccache")
STATS = Path("/build-ccache.log")
TOGETHER = "compiled-together"  # folder in the package's, for the sources of groups
LAUNCHER = "ccache "  # before a compiler's path; tests/bench measures compilers without it
DEVICE_TOOLS = ("nvvm/bin/cicc", "bin/ptxas", "bin/cudafe++")
NINJA = "_write_ninja_file_and_compile_objects"  # of torch.utils.cpp_extension
EPOCH = 315532800  # the earliest time that a zip file can hold: equal input, equal wheel, and equal layer with it
_ELF = b"\x7fELF"


def main() -> None:
    """Unpack, compile, report the compiler cache."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--package", required=True, help="name of the extension; its compiler cache has a folder of it")
    parser.add_argument("--source", type=Path, required=True, help="folder that holds one source archive or tree")
    parser.add_argument("--needs", type=Path, required=True, help="folder of wheels that the build imports")
    parser.add_argument("--awaited", action="store_true", help="another target waits for this wheel: compile it first")
    parser.add_argument("--out", type=Path, required=True, help="folder for the wheel")
    parser.add_argument("--local", help="local version that the wheel gets, such as pt27cu128")
    parser.add_argument("--own-archs", action="store_true", help="leave the archs to the package's setup.py")
    parser.add_argument("--compile-together", action="store_true", help="compile small sources together: groups.py")
    parser.add_argument("--commit", help="commit that the archive must say it is of")
    options = parser.parse_args()
    options.out.mkdir(parents=True)

    source = source_tree.unpack(options.source, WORK, commit=options.commit)
    if options.local:
        source_tree.mark_local(source, options.local)
    unpack_wheels(options.needs)
    prepare_environment(options.package, awaited=options.awaited)
    archs = "" if options.own_archs else os.environ["TORCH_CUDA_ARCH_LIST"]
    os.environ.update(flags.settings(source, archs, FOREIGN, CUDA_HOME / "bin/nvcc"))
    build_wheel(source, options.out.resolve(), compile_together=options.compile_together)
    report_cache()
    said = flags.summary(FOREIGN, archs)
    if said:
        print(f"compile.py: {said}", flush=True)
    report_calls(source)


def unpack_wheels(folder: Path) -> None:
    """Make the wheels that this build needs importable."""
    for wheel in sorted(folder.glob("*/*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall("/needs-site")
    if Path("/needs-site").exists():
        sys.path.insert(0, "/needs-site")


def prepare_environment(package: str, *, awaited: bool) -> None:
    """Set what torch's extension builder, nvcc, ccache and the compile slots read."""
    sys.path.insert(0, str(BUILD_REQUIRES))
    path = ["/usr/lib/ccache", str(BUILD_REQUIRES / "bin"), str(CUDA_HOME / "bin"), os.environ["PATH"]]
    archs = os.environ.get("TORCH_CUDA_ARCH_LIST", "")
    machine = budget.machine()
    chosen = budget.choose(
        machine,
        budget.read_costs(costs_file(package)),
        archs=len(re.split(r"[;,\s]+", archs.strip(";, "))),
        set_jobs=os.environ.get("MAX_JOBS", ""),
        set_threads=os.environ.get("NVCC_THREADS", ""),
    )
    slots = CACHE / "slots"
    slots.mkdir(exist_ok=True)
    nvcc = f"{held_toolkit() or CUDA_HOME}/bin/nvcc"
    os.environ.update(
        PATH=os.pathsep.join(path),
        CUDA_HOME=str(CUDA_HOME),
        CPATH=os.pathsep.join(str(folder) for folder in header_folders()),
        MAX_JOBS=str(chosen.jobs),
        NVCC_APPEND_FLAGS=added("NVCC_APPEND_FLAGS", f"--threads {chosen.threads}"),
        CFLAGS=added("CFLAGS", "-g0"),  # debug sections cost time, and nobody reads them
        LDFLAGS=added("LDFLAGS", "-Wl,-s"),  # without the names of local symbols: nvcc's temporary files are among them
        FORCE_CUDA="1",
        SOURCE_DATE_EPOCH=str(EPOCH),
        PYTHONDONTWRITEBYTECODE="1",
        # ccache can't cache an nvcc call that also writes dependencies; a build from scratch needs none.
        PYTORCH_NVCC=f"{wrapper('nvcc', f'{LAUNCHER}{nvcc}')}",
        TORCH_EXTENSION_SKIP_NVCC_GEN_DEPENDENCIES="1",
        CXX=str(wrapper("c++", f"{LAUNCHER or slot('workers')}/usr/bin/c++")),
        SLOTS=str(slots),
        SLOT_JOBS=str(chosen.jobs),
        SLOT_WORKERS=str(chosen.workers),
        SLOT_MEMORY=str(chosen.memory),
        SLOT_RANK="0" if awaited else "1",
        SLOT_WEIGHTS=str(WEIGHTS),
        SLOT_LOG=str(CALLS),
        SLOT_HEADERS=str(HEADERS),
        CCACHE_DIR=str(CACHE / package),
        CCACHE_CONFIGPATH=os.devnull,  # one in the cache could name programs that ccache runs
        # What the cache lacks is compiled by a worker. Each word of this has to be a program, so it is one.
        CCACHE_PREFIX=str(script(WRAPPERS / "worker", slot("workers").strip())),
        CCACHE_STATSLOG=str(STATS),
        CCACHE_COMPILERCHECK="content",
        CCACHE_NOHASHDIR="1",
        CCACHE_SLOPPINESS="include_file_ctime,include_file_mtime",
        CCACHE_MAXSIZE="2G",
    )
    fact.tell("budget", f"{chosen.why}; archs {archs}", cores=machine.cores)


def added(name: str, flag: str) -> str:
    """Give a variable of the recipe's or the base's with a flag added."""
    return f"{os.environ.get(name, '')} {flag}".strip()


def costs_file(package: str) -> Path:
    """Where the costs of a package's sources are kept."""
    return CACHE / package / budget.COSTS


def slot(pool: str) -> str:
    """Give what to put before a command for it to run in a slot of a pool."""
    return f"{sys.executable} -IS {HERE}/slot.py {pool} "


def wrapper(name: str, command: str) -> Path:
    """Write a compiler of that name that runs the command in a compile slot."""
    return script(WRAPPERS / name, slot("jobs") + command)


def script(path: Path, command: str) -> Path:
    """Write a program that runs a command with what it is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="ascii")
    path.chmod(0o755)
    return path


def held_toolkit() -> Path | None:
    """Lay out the toolkit again, so that nvcc starts its compilers as workers; None where it is laid out otherwise.

    nvcc finds cicc and ptxas from where it itself stands, not on PATH. All but those is linked to.
    """
    nvcc = CUDA_HOME / "bin/nvcc"
    needed = ("bin/nvcc.profile", *DEVICE_TOOLS)
    if not all((CUDA_HOME / name).is_file() for name in needed) or nvcc.read_bytes()[:4] != _ELF:
        return None
    for folder in (Path(), *sorted({Path(tool).parent for tool in DEVICE_TOOLS} | {Path("nvvm")})):
        (TOOLKIT / folder).mkdir()
        for entry in (CUDA_HOME / folder).iterdir():
            here = TOOLKIT / folder / entry.name
            if not here.exists() and str(folder / entry.name) not in ("bin", "nvvm", "nvvm/bin", *DEVICE_TOOLS):
                here.symlink_to(entry)
    for name in ("nvcc", "nvcc.profile"):
        (TOOLKIT / "bin" / name).unlink()
        shutil.copy2(str(CUDA_HOME / "bin" / name), str(TOOLKIT / "bin" / name))
    for tool in DEVICE_TOOLS:
        script(TOOLKIT / tool, f"{slot('workers')}{CUDA_HOME / tool}")
    return TOOLKIT


def header_folders() -> list[Path]:
    """Headers of cuBLAS, cuSPARSE and others, which come with torch's wheels and not with the toolkit."""
    folders = [Path(entry) / "nvidia" for entry in sys.path if entry.endswith("site-packages")]
    return sorted(include for folder in folders for include in folder.glob("*/include"))


def build_wheel(source: Path, out: Path, *, compile_together: bool) -> None:
    """Run the archive's own build backend, with torch's ninja path turned on."""
    os.chdir(source)
    sys.path.insert(0, str(source))
    use_ninja(compile_together=compile_together)
    backend = importlib.import_module("setuptools.build_meta").__legacy__
    # setuptools keeps sys.argv and prints a lot; the compile lines are what one wants to see.
    name = backend.build_wheel(str(out))
    os.utime(out / name, (EPOCH, EPOCH))
    for folder in ("build", TOGETHER):
        shutil.rmtree(source / folder, ignore_errors=True)
    print(f"compile.py: {name}, {(out / name).stat().st_size:,} bytes", flush=True)


def report_cache() -> None:
    """Say how many compiler calls the cache answered."""
    results = STATS.read_text(encoding="utf-8").split() if STATS.exists() else []
    hits = sum(word in ("direct_cache_hit", "preprocessed_cache_hit") for word in results)
    calls = hits + results.count("cache_miss")
    fact.tell("compiler-cache", f"{hits} of {calls} compiler calls from the compiler cache", hits=hits, calls=calls)


def report_calls(source: Path) -> None:
    """Say what the compilers took, by slot.py's own notes, and keep the costs for the next compile's budget."""
    lines = CALLS.read_text(encoding="utf-8").splitlines() if CALLS.exists() else []
    calls = [json.loads(line) for line in lines]
    found = budget.measured(calls, source)
    if not found:
        return
    file = Path(os.environ["CCACHE_DIR"]) / budget.COSTS
    budget.write_costs(file, budget.Costs(stack=stack(), sources={**budget.read_costs(file).sources, **found}))
    most, total = budget.most_at_once(calls), sum(cost.cpu for cost in found.values())
    largest = max(cost.memory for cost in found.values()) / budget.GIB
    longest = sorted(found, key=lambda name: found[name].cpu, reverse=True)[:3]
    listed = ", ".join(f"{name} {found[name].cpu:.0f} s" for name in longest)
    fact.tell(
        "measured",
        f"{len(found)} files in {total:.0f} CPU seconds, at most {most} compilers at once, the largest "
        f"{largest:.1f} GiB; longest: {listed}",
        cpu_seconds=round(total),
    )


def stack() -> str:
    """Name what the cost of a source depends on besides itself."""
    import torch

    asked = subprocess.run(["/usr/bin/c++", "-dumpfullversion"], stdout=subprocess.PIPE, check=True)
    return f"torch {torch.__version__}, c++ {asked.stdout.decode().strip()}, {sys.implementation.cache_tag}"


def use_ninja(*, compile_together: bool) -> None:
    """Make torch compile with ninja even where a setup.py turns it off, as those of PyG do."""
    from torch.utils import cpp_extension

    original = cpp_extension.BuildExtension.__init__

    def initialise(self: object, *arguments: object, **keywords: object) -> None:
        keywords["use_ninja"] = True
        original(self, *arguments, **keywords)

    cpp_extension.BuildExtension.__init__ = initialise
    cpp_extension.BuildExtension._build_extensions_serial = functools.partialmethod(  # noqa: SLF001
        build_modules_side_by_side, compile_together=compile_together
    )
    if not cpp_extension.is_ninja_available():
        sys.exit("compile.py: ninja is not on PATH; the toolchain target installs it")


def has_ninja_hook() -> bool:
    """Tell whether torch writes its ninja file where it has done so since 1.8; the order of the slots needs none."""
    from torch.utils import cpp_extension

    return hasattr(cpp_extension, NINJA)


def compile_in_order(
    together: dict[Path, list[Path]], weights: dict[str, int], headers: dict[Path, tuple[str, ...]]
) -> None:
    """Have ninja compile groups, start the longest first, and headers be precompiled meanwhile.

    What is linked stays in order.
    """
    from torch.utils import cpp_extension

    original = getattr(cpp_extension, NINJA)

    def ordered(*, sources: list[str], objects: list[str], **others: Any) -> Any:
        for header, names in headers.items():
            precompile(header, names, others.get("cflags", []), others.get("post_cflags", []))
        if together:
            import groups

            sources, objects = groups.merge(together, sources, objects)
        places = sorted(range(len(sources)), key=lambda place: -weights.get(str(Path(sources[place]).absolute()), 0))
        in_order = {"sources": [sources[place] for place in places], "objects": [objects[place] for place in places]}
        return original(**in_order, **others)

    setattr(cpp_extension, NINJA, ordered)


def precompile(header: Path, names: tuple[str, ...], *flags: list[str]) -> None:
    """Start to precompile a header with the flags of a module, quoted for a shell; the first module does it for all."""
    try:
        (header.parent / "started").touch(exist_ok=False)
    except FileExistsError:
        return
    command = [sys.executable, "-IS", str(HERE / "precompiled.py"), str(header), ",".join(names), "--"]
    compiler = [*shlex.split(slot("workers")), "/usr/bin/c++"]
    process = subprocess.Popen([*command, *compiler, *(word for some in flags for word in shlex.split(" ".join(some)))])
    (header.parent / "pid").write_text(str(process.pid), encoding="ascii")


def choose_groups(extension: Any) -> dict[Path, list[Path]]:
    """Choose sources of a module to be compiled together, and write what stands for them."""
    import groups

    top = Path.cwd()
    found = groups.choose(extension.sources, extension.include_dirs, top)
    together = {groups.write(members, top / TOGETHER / extension.name): members for members in found}
    for members in found:
        print(f"compile.py: together: {', '.join(member.name for member in members)}", flush=True)
    many, count = sum(map(len, found)), len(set(extension.sources))
    print(f"compile.py: {extension.name}: {many} of {count} sources together in {len(found)} compiles", flush=True)
    return together


def absolute(path: str) -> Path:
    """Give a path from the root on."""
    return Path(os.path.abspath(path))  # noqa: PTH100  a link stays one


def units(extension: Any, together: dict[Path, list[Path]]) -> list[Path]:
    """Give what is compiled of a module: its groups, and the sources that are in none."""
    members = {member for group in together.values() for member in group}
    alone = [path for path in map(absolute, extension.sources) if path not in members]
    return [*together, *alone]


def choose_headers(sources: list[Path], costs: budget.Costs) -> dict[Path, tuple[str, ...]]:
    """Choose headers to precompile; none where the compiler cache will have most of what is compiled."""
    known = sum(budget.relative(str(source), Path.cwd()) in costs.sources for source in sources)
    if not has_ninja_hook() or (costs.stack == stack() and known * 2 >= len(sources)):
        return {}
    return precompiled.plan(sources, HEADERS, int(os.environ["SLOT_JOBS"]))


def weigh(sources: list[Path], costs: budget.Costs) -> dict[str, int]:
    """Give the weight of each source, and write it down for slot.py."""
    index = HEADERS / precompiled.INDEX
    prepared = json.loads(index.read_text(encoding="utf-8")) if index.exists() else {}
    weights = {
        str(source): budget.weight(budget.relative(str(source), Path.cwd()), costs, prepared=str(source) in prepared)
        for source in sources
    }
    WEIGHTS.write_text(json.dumps(weights), encoding="utf-8")
    return weights


def drop_headers() -> None:
    """Remove them, hundreds of MB each, and end what still makes one that nobody waits for."""
    for file in HEADERS.glob("*/pid"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(file.read_text(encoding="ascii")), signal.SIGTERM)
    shutil.rmtree(str(HEADERS), ignore_errors=True)


def build_modules_side_by_side(builder: Any, *, compile_together: bool) -> None:
    """Build each extension module of a package in a process of its own, with a build folder of its own.

    setuptools builds them one after the other, each ending with its longest file alone on one core. The compile slots
    hold the number of compilers down.
    """
    costs = budget.read_costs(Path(os.environ["CCACHE_DIR"]) / budget.COSTS)
    used = compile_together and has_ninja_hook()
    together = {extension.name: choose_groups(extension) if used else {} for extension in builder.extensions}
    sources = [source for extension in builder.extensions for source in units(extension, together[extension.name])]
    headers = choose_headers(sources, costs)
    weights = weigh(sources, costs)
    children = {}
    for extension in builder.extensions:
        pid = os.fork()
        if pid == 0:
            if has_ninja_hook():
                compile_in_order(together[extension.name], weights, headers)
            build_module(builder, extension)
        children[pid] = extension.name
    while children:
        pid, status = os.wait()
        name = children.pop(pid, None)
        if name is not None and status != 0:
            sys.exit(f"compile.py: the extension module {name} failed; its compiler's words stand above")
    drop_headers()


def build_module(builder: Any, extension: Any) -> NoReturn:
    """Build one extension module and end this process."""
    status = 1
    try:
        builder.build_temp = str(Path(builder.build_temp) / extension.name)
        builder.build_extension(extension)
        status = 0
    except BaseException:  # noqa: BLE001  whatever it was, the parent ends the build
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
