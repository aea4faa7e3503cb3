"""Lists what an image holds: packages with version and bytes, and files with SHA-256 and bytes. Runs inside the image.

    python installed.py PREFIX ROOT...

Prints JSON: {"packages": {name: [version, bytes]}, "files": {path: [sha256, bytes]}}. PREFIX is the environment;
files below each ROOT are listed. Bytecode doesn't count. Standard library only, Python 3.8.
"""

import hashlib
import importlib.metadata
import json
import sys
from pathlib import Path


def packages(prefix):
    found = {}
    for distribution in importlib.metadata.distributions():
        paths = [Path(str(distribution.locate_file(file))) for file in distribution.files or ()]
        mine = [path for path in paths if str(path).startswith(prefix) and path.suffix != ".pyc" and path.is_file()]
        name = (distribution.metadata["Name"] or "").lower().replace("_", "-")
        found[name] = [distribution.version, sum(path.stat().st_size for path in mine)]
    return found


def files(roots):
    found = {}
    for root in roots:
        for path in sorted(Path(root).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                content = path.read_bytes()
                found[str(path)] = [hashlib.sha256(content).hexdigest(), len(content)]
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"packages": packages(sys.argv[1]), "files": files(sys.argv[2:])}))
