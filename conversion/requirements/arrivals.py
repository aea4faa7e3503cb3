"""What comes in because extensions require it, as uv resolved it: pinned, and said with who asked for it."""

from __future__ import annotations

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
