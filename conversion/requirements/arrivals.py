"""What comes in because extensions require it, as uv resolved it: pinned, for pip to fetch.

    python -m conversion.requirements.arrivals --resolved resolved.json --why why.json > pins.txt

Says on stderr what comes in, for whom, and how a recipe has every bake take the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, List, Mapping

from conversion import failures


def pins(resolved: Mapping[str, Any]) -> List[str]:
    """The packages that uv would install, ``name==version`` each, by name.

    Raises:
        ConversionError: uv's answer isn't understood, or it would change what is installed.
    """
    try:
        changes = [(str(entry["action"]), str(entry["name"]), str(entry["version"])) for entry in resolved["changes"]]
    except (KeyError, TypeError) as error:
        raise failures.ConversionError(f"uv's plan is not understood: {failures.describe(error)}") from error
    others = [f"{name} {version} is {action}" for action, name, version in changes if action != "installed"]
    if others:
        raise failures.ConversionError(f"what is installed would not stay as it is: {', '.join(others)}")
    return sorted(f"{name}=={version}" for _, name, version in changes)


def told(found: List[str], why: Mapping[str, Any]) -> List[str]:
    """What comes in, and, unless the recipe pins all of it, the line that would."""
    asked, pinned = why["asked"], why["pinned"]
    names = [pin.partition("==")[0] for pin in found]
    reasons = [f" (for {', '.join(dict.fromkeys(asked[name]))})" if name in asked else "" for name in names]
    lines = [f"comes in: {', '.join(pin + reason for pin, reason in zip(found, reasons))}"]
    if any(name not in pinned for name in names):
        first = next((asked[name][0] for name in names if name in asked), "NAME")
        listed = ", ".join(f'"{pin}"' for pin in found)
        lines.append(f"to have every bake take these versions: [extensions.{first}] requires = [{listed}]")
    return lines


def main() -> int:
    """Print the pins."""
    parser = argparse.ArgumentParser(prog="python -m conversion.requirements.arrivals", description=__doc__)
    parser.add_argument("--resolved", required=True, type=Path)
    parser.add_argument("--why", required=True, type=Path)
    options = parser.parse_args()
    found = pins(json.loads(options.resolved.read_text(encoding="utf-8")))
    for line in told(found, json.loads(options.why.read_text(encoding="utf-8"))):
        print(json.dumps({"uplift": "arrival", "says": line}), file=sys.stderr)  # for bake.progress.facts
    print("\n".join(found))
    return 0


if __name__ == "__main__":
    failures.run(main)
