"""Bad input: files that are no checkpoint, damaged, or hold code that fails, never returns or ends the process.

`python -m tests.with_torch.migration.bad make|extract|damage|rebuild --out DIR`: each must fail with its own name and
reason, leave nothing behind, and do no harm to the good file beside it.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tests.with_torch.migration.case import NET, ROWS, fill, importing
from tests.with_torch.migration.run import ABSENT, RELEASED, write_code

LIMIT = 20  # seconds that a file may take
ACTING = (
    "import os, sys, time, ctypes, signal\n"
    + NET
    + """
class Act:
    def __init__(self, what):
        self.what = what
    def __setstate__(self, state):
        if os.environ.get("CORPUS_MAKES"):
            return
        {
            "raise": lambda: [][1],
            "exit": lambda: sys.exit(0),
            "os-exit": lambda: os._exit(0),
            "segfault": lambda: ctypes.string_at(0),
            "abort": os.abort,
            "hang": lambda: time.sleep(10**6),
            "spin": spin,
            "interrupt": lambda: os.kill(os.getpid(), signal.SIGINT),
            "memory": lambda: [bytearray(2**30) for _ in range(2**10)],
        }[state["what"]]()
def spin():
    while True:
        pass
"""
)


class Bad(NamedTuple):
    """One bad file: how it is made, and words of which each must be said of it."""

    name: str
    make: Callable[[Path, Any], None]
    said: tuple[str, ...] = ()


def saved(**options: Any) -> Callable[[Any], bytes]:
    def bytes_of(made: Any) -> bytes:
        buffer = io.BytesIO()
        torch.save(made, buffer, **options)
        return buffer.getvalue()

    return bytes_of


ZIP, LEGACY = saved(), saved(_use_new_zipfile_serialization=False)


def cut(form: Callable[[Any], bytes], part: float) -> Callable[[Path, Any], None]:
    def write(path: Path, net: Any) -> None:
        content = form({"model": fill(net.Net()), "more": torch.ones(1000)})
        path.write_bytes(content[: int(len(content) * part)])

    return write


def text(content: bytes) -> Callable[[Path, Any], None]:
    def write(path: Path, _net: Any) -> None:
        path.write_bytes(content)

    return write


def acting(what: str) -> Callable[[Path, Any], None]:
    return lambda path, net: torch.save({"model": fill(net.Net()), "act": net.Act(what)}, path)


class Huge:
    """Asks for 1 TiB when it is loaded."""

    def __reduce__(self) -> Any:
        return torch.ones, (2**38,)


def claims_a_terabyte(path: Path, _net: Any) -> None:
    """A storage of 2 ** 38 float32, in torch's format before the zip one."""
    content = LEGACY(torch.arange(77, dtype=torch.float32))
    small, large = pickle.dumps(77, 2)[2:-1], pickle.dumps(2**38, 2)[2:-1]
    assert content.count(b"X\x03\x00\x00\x00cpu") == 1
    head, tail = content.split(b"X\x03\x00\x00\x00cpu")
    place = tail.index(small)
    path.write_bytes(head + b"X\x03\x00\x00\x00cpu" + tail[:place] + large + tail[place + len(small) :])


def bit_flipped(path: Path, net: Any) -> None:
    """One bit of the zip's directory."""
    content = bytearray(ZIP(fill(net.Net())))
    content[content.rindex(b"PK\x01\x02") + 2] ^= 0xFF
    content[content.rindex(b"PK\x05\x06") + 8] ^= 0x40
    path.write_bytes(bytes(content))


def zip_bomb(path: Path, _net: Any) -> None:
    """torch's archive, whose pickle is 4 GiB of zeros, deflated to 4 MB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("model/data.pkl", "w", force_zip64=True) as entry:
            for _ in range(64):
                entry.write(bytes(2**26))
        archive.writestr("model/version", "3\n")


def gzip_bomb(path: Path, _net: Any) -> None:
    """Gzip of 64 GiB of zeros."""
    member = gzip.compress(bytes(2**26))
    with path.open("wb") as file:
        for _ in range(1024):
            file.write(member)


def other_zip(path: Path, _net: Any) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no model")


def nowhere(path: Path, net: Any) -> None:
    path.write_bytes(LEGACY(fill(net.Net())).replace(b"cnet\n", b"cnix\n"))


def gone(path: Path, net: Any) -> None:
    path.write_bytes(LEGACY(net.Act("x")).replace(b"Act\n", b"Atc\n"))


def pickled_gone(path: Path, _net: Any) -> None:
    path.write_bytes(b"\x80\x02cno_such_package.models\nNet\n)\x81.")


def unreadable(path: Path, _net: Any) -> None:
    """A link to nothing: what root may read too is no test of permissions."""
    path.symlink_to(path.parent / "nothing.pt")


def bound_socket(path: Path, _net: Any) -> None:
    os.chdir(path.parent)  # a socket's path is short
    socket.socket(socket.AF_UNIX).bind(path.name)


BAD = (
    Bad("text", text(b"no pickle at all\n")),
    Bad("empty", text(b""), ("empty",)),
    Bad("zeros", text(bytes(5000))),
    Bad("cut-zip", cut(ZIP, 0.6)),
    Bad("cut-zip-early", cut(ZIP, 0.05)),
    Bad("cut-legacy", cut(LEGACY, 0.6)),
    Bad("cut-legacy-late", cut(LEGACY, 0.99)),
    Bad("cut-pickle", text(pickle.dumps(list(range(5000)))[:4000])),
    Bad("cut-gzip", text(gzip.compress(ZIP(torch.arange(9000.0)))[:5000])),
    Bad("flipped-zip", bit_flipped),
    Bad("other-zip", other_zip),
    Bad("module-nowhere", nowhere, ("nix",)),
    Bad("class-nowhere", gone, ("Atc",)),
    Bad("package-nowhere", pickled_gone, ("no_such_package",)),
    Bad("huge", lambda path, _net: torch.save(Huge(), path)),
    Bad("huge-storage", claims_a_terabyte),
    Bad("memory", acting("memory"), ("memory",)),
    Bad("zip-bomb", zip_bomb),
    Bad("gzip-bomb", gzip_bomb),
    Bad("raises", acting("raise"), ("IndexError",)),
    Bad("system-exit", acting("exit"), ("exit",)),
    Bad("os-exit", acting("os-exit")),
    Bad("segfault", acting("segfault"), ("SIGSEGV",)),
    Bad("abort", acting("abort"), ("SIGABRT",)),
    Bad("interrupt", acting("interrupt")),
    Bad("hangs", acting("hang"), (f"{LIMIT}",)),
    Bad("spins", acting("spin"), (f"{LIMIT}",)),
    Bad("folder", lambda path, _net: path.mkdir()),
    Bad("fifo", lambda path, _net: os.mkfifo(path)),
    Bad("socket", bound_socket),
    Bad("link-to-nothing", unreadable),
)
DAMAGES = ("cut short", "another file", "gone", "a folder")


def place(out: Path, name: str) -> Path:
    return out / "files" / name / "model.pt"


def make(out: Path) -> int:
    """The bad files, four that are damaged after extraction, and a good one."""
    os.environ["CORPUS_MAKES"] = "1"
    names = [*(bad.name for bad in BAD), *DAMAGES, "good"]
    write_code(out / "code", ACTING)
    with importing(out / "code") as net:
        for bad in BAD:
            place(out, bad.name).parent.mkdir(parents=True)
            bad.make(place(out, bad.name), net)
        for name in (*DAMAGES, "good"):
            place(out, name).parent.mkdir(parents=True)
            torch.save({"model": fill(net.Net())}, place(out, name))
    sets = [
        {
            "name": name,
            "files": [str(place(out, name))],
            "path": [str(out / "code")],
            "needs": [],
            "construct": {},
            "probe": None if name in {bad.name for bad in BAD} else ROWS,
            "unprobed": "bad input" if name in {bad.name for bad in BAD} else None,
            "tolerance": None,
        }
        for name in names
    ]
    document = {"schema": 2, "released": RELEASED, "absent": ABSENT, "sets": sets}
    (out / "models.json").write_text(json.dumps(document, indent=1))
    return 0


def said(out: Path, log: str) -> dict[str, str]:
    """What was said of each file: the lines from its name to the next file's."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in log.splitlines():
        if str(out / "files") in line:
            name = Path(line.split(str(out / "files") + "/", 1)[1]).parts[0]
        found.setdefault(name, []).append(line)
    return {name: "\n".join(lines) for name, lines in found.items()}


def run(out: Path, *arguments: str) -> tuple[int, str]:
    started = time.monotonic()
    command = [sys.executable, "-m", *arguments, "--spec", str(out / "models.json"), "--limit", str(LIMIT)]
    environment = {name: value for name, value in os.environ.items() if name != "CORPUS_MAKES"}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=environment, timeout=580
    )
    print(f"{arguments[0]}: status {done.returncode} after {time.monotonic() - started:.1f} s")
    return done.returncode, done.stdout


def judged(problems: list[str], count: int) -> int:
    print("\n".join(problems))
    print(f"{count} bad files, {len(problems)} not told well")
    return 1 if problems else 0


def extract(out: Path) -> int:
    status, log = run(out, "conversion.models.extract", "--out", str(out / "extracted"))
    (out / "extract.log").write_text(log)
    problems, told = [], said(out, log)
    for bad in BAD:
        words = told.get(bad.name, "")
        if not words:
            problems.append(f"{bad.name}: never named")
        problems += [f"{bad.name}: {word!r} is not said: {words[:600]}" for word in bad.said if word not in words]
    if status != 1:
        problems.append(f"status {status}, not 1: {log[-2000:]}")
    if "Traceback" in log:
        problems.append("a traceback is shown: " + log[log.index("Traceback") :][:1500])
    manifest = json.loads((out / "extracted" / "manifest.json").read_text())
    kept = [entry["set"] for entry in manifest["models"] if entry["set"] in {bad.name for bad in BAD}]
    records = {path.name.removesuffix(".outputs") for path in (out / "extracted").iterdir()}
    kept += sorted(records - {entry["record"] for entry in manifest["models"]} - {"manifest.json"})
    problems += [f"left behind: {path}" for path in kept]
    return judged(problems, len(BAD))


def damage(out: Path) -> int:
    """Spoil files after they were extracted; the bad ones are taken away, they were told."""
    document = json.loads((out / "models.json").read_text())
    document["sets"] = [entry for entry in document["sets"] if entry["name"] in {*DAMAGES, "good"}]
    (out / "models.json").write_text(json.dumps(document))
    place(out, "cut short").write_bytes(place(out, "cut short").read_bytes()[:900])
    content = place(out, "good").read_bytes()
    place(out, "another file").write_bytes(content[:-200] + content[-200:].replace(b"model", b"nodel"))
    for name in ("gone", "a folder"):
        place(out, name).unlink()
    place(out, "a folder").mkdir()
    return 0


def rebuild(out: Path) -> int:
    places = [
        "--extracted",
        str(out / "extracted"),
        "--out",
        str(out / "rebuilt"),
        "--report",
        str(out / "parity.json"),
    ]
    status, log = run(out, "conversion.models.rebuild", *places)
    (out / "rebuild.log").write_text(log)
    told = said(out, log)
    problems = [f"{name}: never named" for name in DAMAGES if name not in told]
    if status != 1:
        problems.append(f"status {status}, not 1")
    report = {entry["set"]: entry for entry in json.loads((out / "parity.json").read_text())["models"]}
    problems += [f"{name}: said to agree" for name in DAMAGES if report.get(name, {}).get("agrees")]
    if not report.get("good", {}).get("agrees"):
        problems.append(f"the good file fell with the others: {told.get('good')}")
    written = [path for path in (out / "rebuilt").rglob("*") if path.is_file()]
    problems += [f"half-written: {path}" for path in written]
    return judged(problems, len(DAMAGES))


COMMANDS = {"make": make, "extract": extract, "damage": damage, "rebuild": rebuild}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    sys.dont_write_bytecode = True
    if arguments.command == "make":
        shutil.rmtree(arguments.out, ignore_errors=True)
        arguments.out.mkdir(parents=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return COMMANDS[arguments.command](arguments.out.resolve())


if __name__ == "__main__":
    sys.exit(main())
