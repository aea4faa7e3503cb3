"""Compiles one source archive or tree to a wheel, with ninja and the compiler cache, and leaves just the wheel.

Runs inside a compile target: the new environment is mounted read-only over the old one, the toolkit stands at
``CUDA_HOME``, build requirements beside both. Standard library only, apart from torch and setuptools.
"""

from __future__ import annotations

import argparse
import configparser
import importlib
import os
import re
import shutil
import sys
import tarfile
import traceback
import zipfile
from pathlib import Path
from typing import Any, NoReturn

HERE = Path(__file__).resolve().parent
CUDA_HOME = Path("/usr/local/cuda")
BUILD_REQUIRES = Path("/opt/build-requires")
WORK = Path("/build")
WRAPPERS = Path("/build-bin")
CACHE = Path("/ccache")
STATS = Path("/build-ccache.log")
LAUNCHER = "ccache "  # before a compiler's path; tests/bench measures compilers without it
# Seconds between two looks for a free compile slot; see slot.py. Who is waited for looks more often.
PAUSE, PAUSE_WHEN_AWAITED = 0.5, 0.02
# A heavy nvcc or g++ on torch's headers takes up to this much; measured and reported by others as 3-5 GB.
GIB_PER_JOB = 3.0


def main() -> None:
    """Unpack, compile, report the compiler cache."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--package", required=True, help="name of the extension; its compiler cache has a folder of it")
    parser.add_argument("--source", type=Path, required=True, help="folder that holds one source archive or tree")
    parser.add_argument("--needs", type=Path, required=True, help="folder of wheels that the build imports")
    parser.add_argument("--awaited", action="store_true", help="another target waits for this wheel: compile it first")
    parser.add_argument("--out", type=Path, required=True, help="folder for the wheel")
    parser.add_argument("--local", help="local version that the wheel gets, such as pt27cu128")
    parser.add_argument("--commit", help="commit that the archive must say it is of")
    options = parser.parse_args()
    options.out.mkdir(parents=True)

    source = unpack(options.source, commit=options.commit)
    if options.local:
        mark_local(source, options.local)
    unpack_wheels(options.needs)
    prepare_environment(options.package, awaited=options.awaited)
    build_wheel(source, options.out.resolve())
    report_cache()


def unpack(folder: Path, *, commit: str | None = None) -> Path:
    """Unpack the one archive of a folder to a fixed place, so that the compiler cache sees the same paths.

    A tree is copied there. An archive made by git names its commit in its header; ``commit`` is held against it.
    """
    archives = sorted(folder.iterdir())
    if len(archives) != 1:
        sys.exit(f"compile.py: expected one source archive, found {[path.name for path in archives]}")
    if archives[0].is_dir():
        return Path(shutil.copytree(archives[0], WORK / archives[0].name, symlinks=True))
    WORK.mkdir()
    with tarfile.open(archives[0]) as archive:
        said = archive.pax_headers.get("comment") if archive.getmembers() else None
        if commit and said != commit:
            sys.exit(f"compile.py: {archives[0].name} is of commit {said}, and the recipe asks for {commit}")
        if hasattr(tarfile, "data_filter"):
            archive.extractall(WORK, filter="data")
        else:
            archive.extractall(WORK)
    (top,) = WORK.iterdir()
    return top


def mark_local(source: Path, local: str) -> None:
    """Have setuptools add a local part to the version: the build is bound to a stack, and says so."""
    file = source / "setup.cfg"
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(file, encoding="utf-8")
    if not settings.has_section("egg_info"):
        settings.add_section("egg_info")
    settings.set("egg_info", "tag_build", f"+{local}")
    settings.set("egg_info", "tag_date", "0")
    with file.open("w", encoding="utf-8") as opened:
        settings.write(opened)


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
    jobs = os.environ.get("MAX_JOBS") or str(job_count())
    threads = os.environ.get("NVCC_THREADS") or str(thread_count(int(jobs)))
    slots = CACHE / "slots"
    slots.mkdir(exist_ok=True)
    os.environ.update(
        PATH=os.pathsep.join(path),
        CUDA_HOME=str(CUDA_HOME),
        CPATH=os.pathsep.join(str(folder) for folder in header_folders()),
        MAX_JOBS=jobs,
        NVCC_APPEND_FLAGS=f"--threads {threads}",
        CFLAGS="-g0",  # debug sections cost time and are stripped in the end
        FORCE_CUDA="1",
        SOURCE_DATE_EPOCH="315532800",  # the earliest time that a zip file can hold: equal input, equal wheel
        PYTHONDONTWRITEBYTECODE="1",
        # ccache can't cache an nvcc call that also writes dependencies; a build from scratch needs none.
        PYTORCH_NVCC=f"{wrapper('nvcc', f'{LAUNCHER}{CUDA_HOME}/bin/nvcc')}",
        TORCH_EXTENSION_SKIP_NVCC_GEN_DEPENDENCIES="1",
        CXX=str(wrapper("c++", f"{LAUNCHER}/usr/bin/c++")),
        SLOTS=str(slots),
        SLOT_COUNT=jobs,
        SLOT_PAUSE=str(PAUSE_WHEN_AWAITED if awaited else PAUSE),
        CCACHE_DIR=str(CACHE / package),
        CCACHE_STATSLOG=str(STATS),
        CCACHE_COMPILERCHECK="content",
        CCACHE_NOHASHDIR="1",
        CCACHE_SLOPPINESS="include_file_ctime,include_file_mtime",
        CCACHE_MAXSIZE="2G",
    )
    archs = os.environ.get("TORCH_CUDA_ARCH_LIST")
    print(f"compile.py: {jobs} jobs, {threads} nvcc threads, archs {archs}", flush=True)


def wrapper(name: str, command: str) -> Path:
    """Write a compiler of that name that runs the command in a compile slot."""
    WRAPPERS.mkdir(exist_ok=True)
    path = WRAPPERS / name
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {HERE}/slot.py {command} "$@"\n', encoding="ascii")
    path.chmod(0o755)
    return path


def job_count() -> int:
    """As many jobs as there are cores, if memory holds them."""
    cores = len(os.sched_getaffinity(0))
    match = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii"))
    gib = int(match[1]) / 2**20 if match else GIB_PER_JOB
    return max(1, min(cores, int(gib / GIB_PER_JOB)))


def thread_count(jobs: int) -> int:
    """Let one nvcc compile several archs at a time: its file is otherwise the tail of the build."""
    archs = len(re.split(r"[;,\s]+", os.environ.get("TORCH_CUDA_ARCH_LIST", "").strip(";, ")))
    return max(1, min(archs, jobs))


def header_folders() -> list[Path]:
    """Headers of cuBLAS, cuSPARSE and others, which come with torch's wheels and not with the toolkit."""
    folders = [Path(entry) / "nvidia" for entry in sys.path if entry.endswith("site-packages")]
    return sorted(include for folder in folders for include in folder.glob("*/include"))


def build_wheel(source: Path, out: Path) -> None:
    """Run the archive's own build backend, with torch's ninja path turned on."""
    os.chdir(source)
    sys.path.insert(0, str(source))
    use_ninja()
    backend = importlib.import_module("setuptools.build_meta").__legacy__
    # setuptools keeps sys.argv and prints a lot; the compile lines are what one wants to see.
    name = backend.build_wheel(str(out))
    shutil.rmtree(source / "build", ignore_errors=True)
    print(f"compile.py: {name}, {(out / name).stat().st_size:,} bytes", flush=True)


def report_cache() -> None:
    """Say how many compiler calls the cache answered; the line is read by who reports the bake."""
    results = STATS.read_text(encoding="utf-8").split() if STATS.exists() else []
    hits = sum(word in ("direct_cache_hit", "preprocessed_cache_hit") for word in results)
    calls = hits + results.count("cache_miss")
    print(f"compile.py: compiler cache: {hits} of {calls} calls hit", flush=True)


def use_ninja() -> None:
    """Make torch compile with ninja even where a setup.py turns it off, as those of PyG do."""
    from torch.utils import cpp_extension

    original = cpp_extension.BuildExtension.__init__

    def initialise(self: object, *arguments: object, **keywords: object) -> None:
        keywords["use_ninja"] = True
        original(self, *arguments, **keywords)

    cpp_extension.BuildExtension.__init__ = initialise
    cpp_extension.BuildExtension._build_extensions_serial = build_modules_side_by_side  # noqa: SLF001
    if not cpp_extension.is_ninja_available():
        sys.exit("compile.py: ninja is not on PATH; the toolchain target installs it")


def build_modules_side_by_side(builder: Any) -> None:
    """Build each extension module of a package in a process of its own, with a build folder of its own.

    setuptools builds them one after the other, each ending with its longest file alone on one core. The compile slots
    hold the number of compilers down.
    """
    children = {}
    for extension in builder.extensions:
        pid = os.fork()
        if pid == 0:
            build_module(builder, extension)
        children[pid] = extension.name
    while children:
        pid, status = os.wait()
        name = children.pop(pid, None)
        if name is not None and status != 0:
            sys.exit(f"compile.py: the extension module {name} failed; its compiler's words stand above")


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
