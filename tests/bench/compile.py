"""Benches the compile part alone: ``python tests/bench/compile.py --sdist FILE --json OUT``. No engine, no network.

Builds one sdist with CUDA code in up to five ways, each in folders of its own and without a compiler cache:

    default     pip wheel with what comes by default: the package's own setup.py, MAX_JOBS unset
    ninja       the same with torch's ninja path turned on where the setup.py turns it off; MAX_JOBS unset
    ours        contexts/wheel/compile.py: its budget of compilers, archs and modules side by side, longest file first
    together    the same with small sources compiled together
    no-headers  the same without precompiled headers

Measures wall time, CPU seconds and memory, the ratio of wall time to CPU ÷ cores, and every compiler call. Needs torch,
setuptools, pip, ninja, g++ and a CUDA toolkit with nvcc. Standard library only, apart from what it builds with.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.util
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
SCRIPT = TOP / "contexts/wheel/compile.py"
WAYS = ("default", "ninja", "ours", "together", "no-headers")
ARCHS = "8.0;8.6;9.0;12.0"
# What an earlier shell may have set, and what each way decides for itself.
UNSET = ("MAX_JOBS", "NVCC_THREADS", "NVCC_APPEND_FLAGS", "NVCC_PREPEND_FLAGS", "PYTORCH_NVCC", "CXX", "CC", "CPATH")


def options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/bench/compile.py", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sdist", type=Path, required=True, help="the archive, or a folder that holds just it")
    parser.add_argument("--way", action="append", choices=WAYS, help="repeatable; default: default and ours")
    parser.add_argument("--archs", default=ARCHS, help="TORCH_CUDA_ARCH_LIST (default %(default)s)")
    parser.add_argument("--cuda-home", type=Path, help="the toolkit (default: CUDA_HOME, or where nvcc is)")
    parser.add_argument(
        "--define", action="append", default=[], metavar="NAME=VALUE", help="for the builds' environment"
    )
    parser.add_argument("--limit", type=float, default=0, help="end a way after so many seconds; 0: never")
    parser.add_argument("--work", type=Path, help="folder for the builds (default: a temporary one)")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--inner", choices=WAYS[1:], help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status: 0, 1 where a build failed, 2 or 3 where nothing could be built."""
    chosen = options(arguments)
    if chosen.inner:
        inner(chosen)
        return 0
    archive = find_sdist(chosen.sdist)
    cuda_home = find_toolkit(chosen.cuda_home)
    work = (chosen.work or Path(tempfile.mkdtemp(prefix="bench-compile-"))).resolve()
    facts = machine(archive, chosen.archs, cuda_home)
    ways = {}
    try:
        for way in dict.fromkeys(chosen.way or ("default", "ours")):
            say(f"{way}: {archive.name} for {chosen.archs}")
            ways[way] = build(way, archive, cuda_home, work / "one", chosen)  # paths get into what is compiled
            say(f"{way}: {sentence(ways[way])}")
            if chosen.json:
                chosen.json.parent.mkdir(parents=True, exist_ok=True)
                chosen.json.write_text(json.dumps({"schema": 1, **facts, "ways": ways}, indent=1) + "\n")
    finally:
        if chosen.work is None:
            shutil.rmtree(work, ignore_errors=True)
    sys.stdout.write(table(ways))
    return 0 if all(way["status"] == 0 or way["stopped"] for way in ways.values()) else 1


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def fail(what: str, remedy: str) -> SystemExit:
    say(f"error: {what}\n  what to do: {remedy}")
    return SystemExit(3)


def find_sdist(path: Path) -> Path:
    """Give the archive itself."""
    found = sorted(path.glob("*.tar.gz")) if path.is_dir() else [path]
    if len(found) != 1 or not found[0].is_file():
        raise fail(f"{path} holds {len(found)} archives", "give one .tar.gz, or a folder with just one")
    return found[0].resolve()


def find_toolkit(given: Path | None) -> Path:
    """Give the toolkit's folder, where bin/nvcc is."""
    nvcc = shutil.which("nvcc")
    places = [given, os.environ.get("CUDA_HOME"), Path(nvcc).resolve().parents[1] if nvcc else None, "/usr/local/cuda"]
    for place in places:
        if place and (Path(place) / "bin/nvcc").exists():
            return Path(place).resolve()
    raise fail("there is no nvcc", "give the toolkit with --cuda-home")


def machine(archive: Path, archs: str, cuda_home: Path) -> dict[str, Any]:
    """What was built on what."""
    version = subprocess.run([cuda_home / "bin/nvcc", "--version"], capture_output=True, text=True, check=False).stdout
    asked = "import torch; print(torch.__version__)"
    torch = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=False).stdout.strip()
    if not torch:
        raise fail(f"{sys.executable} has no torch", "run this with the Python that has it")
    return {
        "sdist": archive.name,
        "archs": archs,
        "cores": cores(),
        "processor": processor(),
        "memory_available": available(),
        "python": platform.python_version(),
        "torch": torch,
        "nvcc": version.strip().splitlines()[-1] if version else "",
        "load_before": round(os.getloadavg()[0], 2),
    }


def cores() -> int:
    return len(os.sched_getaffinity(0))


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), platform.machine())


def available() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def environment(cuda_home: Path, chosen: argparse.Namespace) -> dict[str, str]:
    """What all ways share: the toolkit, the archs, no compiler cache."""
    kept = {name: value for name, value in os.environ.items() if name not in UNSET}
    path = [str(Path(sys.executable).parent), str(cuda_home / "bin"), os.environ["PATH"]]
    given = dict(item.split("=", 1) for item in chosen.define)
    return {
        **kept,
        "PATH": os.pathsep.join(entry for entry in os.pathsep.join(path).split(os.pathsep) if "ccache" not in entry),
        "CUDA_HOME": str(cuda_home),
        "TORCH_CUDA_ARCH_LIST": chosen.archs,
        "FORCE_CUDA": "1",
        "CCACHE_DISABLE": "1",
        **given,
    }


def build(way: str, archive: Path, cuda_home: Path, folder: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Build in one way and measure it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = inner_command(way, archive, cuda_home, folder, chosen)
    if way == "default":
        command = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index", "--verbose"]
        command += ["--wheel-dir", str(folder / "wheels"), str(unpacked(archive, folder / "source"))]
    processes = load(HERE / "processes.py")
    before, began = available(), time.monotonic()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=environment(cuda_home, chosen),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    watch, status, used, stopped = wait_for(process, processes, chosen.limit)
    process.returncode = os.waitstatus_to_exitcode(status)  # it was waited for here
    seconds, cpu = time.monotonic() - began, used.ru_utime + used.ru_stime
    if stopped:  # children that were killed with it are nobody's: their last known figures
        cpu = sum(call.cpu_seconds for call in watch.calls)
    if process.returncode and not stopped:
        say((folder / "log").read_text(errors="replace")[-4000:])
    bound = cpu / cores()
    return {
        "status": process.returncode,
        "stopped": stopped,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "cpu_over_cores": round(bound, 1),
        "ratio": round(seconds / bound, 2) if bound else 0,
        "peak_memory": watch.memory,
        "memory_available_before": before,
        "settings": settings(folder / "log"),
        "most_compilers": processes.most_at_once(watch.calls, processes.DRIVERS),
        "most_workers": processes.most_at_once(watch.calls, processes.WORKERS),
        "wheels": {file.name: file.stat().st_size for file in sorted((folder / "wheels").glob("*.whl"))},
        "libraries": libraries(folder / "wheels"),
        "calls": [call.as_data() for call in watch.calls],
    }


def wait_for(process: subprocess.Popen[bytes], processes: Any, limit: float) -> tuple[Any, int, Any, bool]:
    """Watch a build until it ends, or end it; gives watch, wait status, resources used, whether it was ended."""
    began, stopped = time.monotonic(), False
    with processes.Watch(process.pid) as watch:
        while True:
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                return watch, status, used, stopped
            if not stopped and limit and time.monotonic() - began > limit:
                stopped = True
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(0.05)


def inner_command(way: str, archive: Path, cuda_home: Path, folder: Path, chosen: argparse.Namespace) -> list[str]:
    command = [sys.executable, str(Path(__file__).resolve()), "--inner", way, "--sdist", str(archive)]
    return [*command, "--cuda-home", str(cuda_home), "--work", str(folder), "--archs", chosen.archs]


def unpacked(archive: Path, folder: Path) -> Path:
    """Unpack the sdist and give its tree."""
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    return next(folder.iterdir())


def libraries(folder: Path) -> dict[str, str]:
    """SHA-256 of each shared object in the wheels: ways whose results are the same have the same."""
    found = {}
    for file in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(file) as wheel:
            names = [name for name in wheel.namelist() if name.endswith(".so")]
            found.update({name: hashlib.sha256(wheel.read(name)).hexdigest() for name in names})
    return found


def settings(log: Path) -> list[str]:
    """What compile.py said that it chose."""
    lines = log.read_text(errors="replace").splitlines()
    return [line for line in lines if line.startswith(("compile.py: ", '{"uplift": '))]


def places(folder: Path, cuda_home: Path) -> dict[str, Any]:
    """What the script finds elsewhere here than in a build: its module attributes."""
    return {
        "CUDA_HOME": cuda_home,
        "BUILD_REQUIRES": folder / "requires",
        "WORK": folder / "build",
        "WRAPPERS": folder / "bin",
        "CACHE": folder / "cache",
        "TOOLKIT": folder / "toolkit",
        "HEADERS": folder / "headers",
        "CALLS": folder / "calls.log",
        "WEIGHTS": folder / "weights.json",
        "FOREIGN": folder / "foreign-archs.log",
        "STATS": folder / "ccache.log",
        "LAUNCHER": "",
    }


def inner(chosen: argparse.Namespace) -> None:
    """Build with the project's script, in the process that is measured; ``ninja`` takes from it only that."""
    module = load(SCRIPT)
    folder: Path = chosen.work
    if chosen.inner == "ninja":
        source = unpacked(chosen.sdist, folder / "source")
        os.chdir(source)
        sys.path.insert(0, str(source))
        turn_ninja_on()
        backend = importlib.import_module("setuptools.build_meta").__legacy__
        (folder / "wheels").mkdir()
        backend.build_wheel(str(folder / "wheels"))
        return
    (folder / "sdist").mkdir()
    shutil.copy(chosen.sdist, folder / "sdist")
    for name in ("needs", "cache", "requires"):
        (folder / name).mkdir()
    for name, value in places(folder, chosen.cuda_home).items():
        if not hasattr(module, name):
            raise fail(f"{SCRIPT.name} has no {name} any more", "mend tests/bench/compile.py")
        setattr(module, name, value)
    package = chosen.sdist.name.rpartition("-")[0].replace("_", "-")
    if chosen.inner == "no-headers":
        module.precompiled.FEWEST_USES = sys.maxsize
    sys.argv = [str(SCRIPT), "--package", package, "--awaited", "--out", str(folder / "wheels")]
    sys.argv += ["--source", str(folder / "sdist"), "--needs", str(folder / "needs")]
    sys.argv += ["--compile-together"] if chosen.inner == "together" else []
    module.main()


def load(path: Path) -> Any:
    """Load a module by its file: a Python with torch may have another package named ``tests``."""
    spec = importlib.util.spec_from_file_location(f"bench_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def turn_ninja_on() -> None:
    from torch.utils import cpp_extension  # noqa: PLC0415 - this part runs where torch is

    original = cpp_extension.BuildExtension.__init__

    def initialise(self: object, *arguments: object, **keywords: object) -> None:
        original(self, *arguments, **{**keywords, "use_ninja": True})

    cpp_extension.BuildExtension.__init__ = initialise


def sentence(way: dict[str, Any]) -> str:
    if way["stopped"]:
        return f"not done after {way['seconds']:.0f} s"
    if way["status"]:
        return f"failed with status {way['status']}"
    ratio = f"{way['ratio']:.2f} × CPU ÷ cores ({way['cpu_over_cores']:.0f} s)"
    return f"{way['seconds']:.0f} s wall, {way['cpu_seconds']:.0f} CPU seconds, {ratio}"


def table(ways: dict[str, dict[str, Any]]) -> str:
    """The results as a Markdown table."""
    head = ("way", "wall", "CPU", "CPU ÷ cores", "ratio", "peak memory", "compilers at once", "its choice")
    lines = [head, ("---",) * len(head)]
    for name, way in ways.items():
        wall = f"> {way['seconds']:.0f} s" if way["stopped"] else f"{way['seconds']:.0f} s"
        figures = (f"{way['cpu_seconds']:.0f} s", f"{way['cpu_over_cores']:.0f} s", f"{way['ratio']:.2f}")
        rest = (f"{way['peak_memory'] / 1e9:.1f} GB", str(way["most_compilers"]), "; ".join(way["settings"][:1]) or "–")
        lines.append((name, wall, *figures, *rest))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
