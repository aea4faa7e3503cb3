"""What torch was built for: its CUDA, and the cards that its own kernels run on."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Dict, Iterator, Optional, Sequence

from conversion.failures import ConversionError
from conversion.verify.archs import serving, sm_name
from conversion.verify.image import Image, Spec
from conversion.verify.rows import Row, judged

# run in a process of its own: a broken torch may crash its interpreter
_ASK_TORCH = """
import json, torch
flags = getattr(torch._C, "_cuda_getArchFlags", lambda: "")() or ""
print(json.dumps({"version": torch.__version__, "cuda": torch.version.cuda, "archs": flags.split()}))
"""


def rows(_image: Image, spec: Spec) -> Iterator[Row]:
    """The rows of torch's CUDA and of the asked archs; none for a stack without torch."""
    if "cuda" in spec:
        built = ask_torch()
        yield cuda_row(spec["cuda"], built["cuda"])
        yield from arch_rows(spec.get("archs", []), built["archs"])


def ask_torch() -> Dict[str, Any]:
    """What this interpreter's torch says of itself: version, CUDA version (or None), compiled archs ("sm_90").

    Works without a GPU: the arch flags are compiled in, though ``torch.cuda.get_arch_list`` is empty then.

    Raises:
        ConversionError: torch can't be imported.
    """
    command = [sys.executable, "-c", _ASK_TORCH]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        answer: Dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise ConversionError(f"torch can't be imported: {lines[-1]}") from None
    return answer


def cuda_row(expected: Optional[str], found: Optional[str]) -> Row:
    """The CUDA version that torch was built for."""
    return judged("cuda", "torch", expected or "none", found or "none (a CPU build)", found == expected)


def arch_rows(archs: Sequence[str], compiled: Sequence[str]) -> Iterator[Row]:
    """One row per asked arch: torch's own kernels must run on it."""
    have = {name[3:] for name in compiled if name.startswith("sm_")}
    for arch in archs:
        served = serving(arch, have)
        detail = "" if served in (None, sm_name(arch)) else f"served by sm_{served}"
        shown = " ".join(compiled) or "none (a CPU build)"
        yield judged("arch", arch, f"sm_{sm_name(arch)}", shown, served is not None, detail)
