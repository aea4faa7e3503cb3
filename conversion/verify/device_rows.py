"""One row per package, or folder, that holds device code: whether it serves the asked cards, and what happens if not.

What the recipe installs must serve them. What the base brought along, and dependencies that came with the stack, only
inform: an image may hold device code that nobody runs, and some of NVIDIA's libraries keep theirs where only they find
it (libcufft has one small piece for sm_75 where others keep all). ``[device.NAME]`` of a recipe says otherwise.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from conversion.environment.inventory import Inventory, normalise
from conversion.verify.archs import in_order, number, serving, sm_name
from conversion.verify.device_files import Holder, holders
from conversion.verify.fatbin import DeviceCode
from conversion.verify.image import Image, Spec
from conversion.verify.rows import FAIL, INFO, PASS, Row, judged

CHECK = "device"
CPU, REPLACED, INFORM = "cpu", "replaced", "inform"
HOOK = "image_uplift_device"
_TOLD = 4  # files by name in a row
_ASK_HOOK = f"""
import json, sys
found = [finder.packages for finder in sys.meta_path if type(finder).__module__ == "{HOOK}"]
print(json.dumps(found[0] if found else {{}}))
"""


def rows(image: Image, spec: Spec) -> Iterator[Row]:
    """The rows of the image, for the cards that are asked for."""
    if spec.get("cards"):
        yield from device_rows(spec, spec["cards"], image.base_inventory)


def device_rows(spec: Spec, archs: Sequence[str], base: Inventory, *, root: str = "/") -> Iterator[Row]:
    """The rows of everything in the image; packages that have a row for their SASS already are left out.

    Args:
        spec: `prefix`, `versions`, `extensions` and `device` of the specification count. base: the base's inventory.
    """
    rules: Dict[str, Dict[str, str]] = dict(spec.get("device", {}))
    done = {normalise(name) for name in spec.get("extensions", [])}
    unseen = dict(rules)
    for holder in holders(root, os.environ.get("PATH", "")):
        ours = holder.home.startswith(spec["prefix"].rstrip("/") + "/") or holder.home == spec["prefix"]
        key, rule = _rule(holder, rules, ours=ours)
        unseen.pop(key, None)
        if not (ours and holder.name in done):
            named = ours and holder.name in map(normalise, spec.get("versions", {}))
            yield _row(holder, archs, rule, named=named, before=base.packages.get(holder.name, "") if ours else "")
    for name, rule in unseen.items():
        status = FAIL if rule["action"] == REPLACED else INFO
        detail = (
            f"it isn't in this image, or was built without CUDA: [device.{name}] of the recipe changes nothing here"
        )
        yield Row(CHECK, name, f"the recipe: {rule['action']}", "no device code", status, detail)


def held_back_rows(_image: Image, spec: Spec) -> Iterator[Row]:
    """The rows of the packages that the recipe keeps on the CPU."""
    taken = {name: rule for name, rule in spec.get("device", {}).items() if rule["action"] == CPU}
    if spec.get("cards") and taken:
        yield from hook_rows(os.path.join(spec["prefix"], "bin", "python"), taken)


def _rule(holder: Holder, rules: Mapping[str, Dict[str, str]], *, ours: bool) -> Tuple[str, Optional[Dict[str, str]]]:
    """What the recipe says of a package of its environment by name, of anything by a folder that it is in."""
    for key, rule in rules.items():
        place = holder.home or holder.name
        if (ours and normalise(key) == holder.name) or (key.startswith("/") and f"{place}/".startswith(f"{key}/")):
            return key, rule
    return "", None


def _row(holder: Holder, archs: Sequence[str], rule: Optional[Dict[str, str]], *, named: bool, before: str) -> Row:
    subject = " ".join(part for part in (holder.name, holder.version) if part)
    expected = " ".join(f"sm_{sm_name(arch)}" for arch in archs)
    lacking = {arch: lacking_files(holder.code, arch) for arch in archs}
    lacking = {arch: files for arch, files in lacking.items() if files}
    action = rule["action"] if rule else ""
    unread = [f"{name} {reason}" for name, reason in sorted(holder.unread.items())]
    text = "; ".join([*_without(holder.code, lacking), *unread])
    kept = action == REPLACED and before == holder.version
    if kept:
        text = "; ".join(part for part in ("the recipe says that it is replaced, and it is the base's", text) if part)
    if not lacking and not unread and not kept:
        return Row(CHECK, subject, expected, _found(holder), PASS, f"{_files(holder.code)}{_home(holder)}")
    told = [f"the recipe: {rule['reason']}"] if rule else []
    if action == CPU:
        late = _later(lacking, rule["up_to"] if rule else "")
        ptx = all(_ptx_only(holder.code, arch, files) for arch, files in lacking.items() if arch not in late)
        status = INFO if ptx and not unread else FAIL
        early = {arch: files for arch, files in lacking.items() if arch not in late}
        text = "; ".join([*_on_cpu(late), *_without(holder.code, early), *unread])
    elif action == INFORM:
        status = INFO
    elif action or named:
        status = FAIL
        told = told or [
            f"the recipe installs it: take a build for these cards, or say why not in [device.{holder.name}]"
        ]
    elif holder.name.startswith("nvidia-") and before != holder.version:
        status = INFO
        told = ["it came with the stack for these cards; NVIDIA's libraries may keep code where only they find it"]
    else:
        status = INFO
        told = ["what it runs on such a card fails, unless it can do without; [device] of a recipe says what happens"]
    return Row(CHECK, subject, expected, _found(holder), status, "; ".join([text + _home(holder), *told]))


def lacking_files(code: Mapping[str, DeviceCode], arch: str) -> List[str]:
    """The files without SASS for a card."""
    return sorted(name for name, held in code.items() if serving(arch, held.sass) is None)


def _ptx_only(code: Mapping[str, DeviceCode], arch: str, files: Iterable[str]) -> bool:
    """Whether all of the files have PTX that a driver may compile for a card."""
    wanted = int(sm_name(arch).rstrip("af"))
    return all(any(name.isdigit() and int(name) <= wanted for name in code[file].ptx) for file in files)


def _without(code: Mapping[str, DeviceCode], lacking: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What is missing, in words; cards that lack the same are told together."""
    alike: Dict[Tuple[Tuple[str, ...], bool], List[str]] = {}
    for arch, files in lacking.items():
        alike.setdefault((tuple(files), _ptx_only(code, arch, files)), []).append(arch)
    for (files, ptx), archs in alike.items():
        which = f" in {len(files)} of {len(code)} files ({_names(files)})" if len(code) > 1 else ""
        after = ", which a driver may compile at the first start" if ptx else ""
        yield f"{'only PTX' if ptx else 'no code'} for {', '.join(archs)}{which}{after}"


def _later(lacking: Iterable[str], up_to: str) -> List[str]:
    return [arch for arch in lacking if number(arch) > number(up_to)]


def _on_cpu(archs: Sequence[str]) -> Iterator[str]:
    if archs:
        yield f"runs on the CPU where the card is of compute capability {', '.join(archs)}"


def _found(holder: Holder) -> str:
    """What every file has SASS for; and PTX, where a file has any."""
    codes = list(holder.code.values())
    sass = set.intersection(*(held.sass for held in codes)) if codes else set()
    ptx = set.intersection(*(held.ptx for held in codes)) if codes else set()
    shown = " ".join(in_order(sass)) or "no SASS in all of its files"
    return f"{shown}, PTX {' '.join(in_order(ptx))}" if ptx else shown


def _files(code: Mapping[str, DeviceCode]) -> str:
    return f"{len(code)} files with device code: {_names(sorted(code))}"


def _names(files: Sequence[str]) -> str:
    more = f" and {len(files) - _TOLD} more" if len(files) > _TOLD else ""
    return ", ".join(os.path.basename(name) for name in files[:_TOLD]) + more


def _home(holder: Holder) -> str:
    return f" (in {holder.home})" if holder.home else ""


def hook_rows(python: str, rules: Mapping[str, Mapping[str, str]]) -> Iterator[Row]:
    """Whether an interpreter that starts holds these packages back from cards later than those they serve."""
    done = subprocess.run([python, "-I", "-c", _ASK_HOOK], capture_output=True, text=True, check=False, timeout=60)
    try:
        active = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        active = {}
    for name, rule in rules.items():
        up_to = (active.get(name) or {}).get("up_to", "")
        expected = f"runs on the CPU where a card is later than {rule['up_to']}"
        found = f"held back on cards later than {up_to}" if up_to else "nothing holds it back"
        detail = f"by {HOOK}.pth in the environment; IMAGE_UPLIFT_DEVICE=gpu lets it try all the same"
        yield judged(CHECK, f"{name} on the CPU", expected, found, up_to == rule["up_to"], detail)
