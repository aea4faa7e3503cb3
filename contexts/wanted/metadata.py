"""Reads what an extension requires, before it is compiled: from its wheel, or by asking its source's build backend.

    python metadata.py --source DIR --out FILE [--commit COMMIT]

FILE becomes JSON: ``version`` and ``requires``, the Requires-Dist entries as they stand, or ``error``, why nobody could
read them; who asks decides whether that matters. Runs inside a build without network, in the environment with the new
torch, which many a setup.py imports. No compiler and no CUDA is there, and none is asked for: nothing gets built.
"""

from __future__ import annotations

import argparse
import email
import importlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

BUILD_REQUIRES = Path("/opt/build-requires")
WORK = Path("/build")
MINUTES = 5
_SHOWN = 6  # last lines of what a setup.py said


def main() -> None:
    """Read, and write down what was read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="folder that holds one wheel, archive or tree")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--commit", help="commit that the archive must say it is of")
    parser.add_argument("--ask-backend", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask_backend:
        ask_backend(options.source, options.out)
        return
    options.out.parent.mkdir(parents=True, exist_ok=True)
    wheels = sorted(options.source.glob("*.whl"))
    found = of_wheel(wheels[0]) if wheels else of_source(options.source, options.out, options.commit)
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"metadata.py: {json.dumps(found)}", flush=True)


def of_wheel(wheel: Path) -> dict[str, object]:
    """Read a wheel's metadata."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA") and name.count("/") == 1]
        if len(names) != 1:
            return {"error": f"{wheel.name} has {len(names)} files METADATA, and a wheel has one"}
        return parsed(archive.read(names[0]))


def parsed(metadata: bytes) -> dict[str, object]:
    """Take version and requirements out of a METADATA file."""
    message = email.message_from_bytes(metadata)
    required = message.get_all("Requires-Dist", [])
    return {"version": str(message["Version"]), "requires": [str(line) for line in required]}


def of_source(folder: Path, out: Path, commit: str | None) -> dict[str, object]:
    """Ask the source's build backend, in a process of its own: it may end the one that it runs in."""
    import source_tree

    source = source_tree.unpack(folder, WORK, commit=commit)
    command = [sys.executable, "-B", str(Path(__file__).resolve()), "--ask-backend"]
    command += ["--source", str(source), "--out", str(out)]
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=MINUTES * 60, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": f"its setup.py did not end within {MINUTES} minutes"}
    said = done.stdout.decode("utf-8", "replace")
    if done.returncode or not out.is_file():
        last = said.strip().splitlines()[-_SHOWN:]
        return {"error": "\n".join([f"its setup.py ended with status {done.returncode}", *last])}
    return parsed(out.read_bytes())


def ask_backend(source: Path, out: Path) -> None:
    """Have setuptools write the metadata, as compile.py has it build the wheel: the same backend, the same settings."""
    sys.path.insert(0, str(BUILD_REQUIRES))
    os.environ.setdefault("CUDA_HOME", "/usr/local/cuda")  # where the compile has it; nobody looks into it here
    os.environ.setdefault("FORCE_CUDA", "1")
    os.chdir(source)
    sys.path.insert(0, str(source))
    backend = importlib.import_module("setuptools.build_meta").__legacy__
    folder = source.parent / "metadata"
    folder.mkdir()
    name = backend.prepare_metadata_for_build_wheel(str(folder))
    out.write_bytes((folder / name / "METADATA").read_bytes())


if __name__ == "__main__":
    main()
