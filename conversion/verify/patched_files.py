"""Whether the files that the patch changed are in the image."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Dict, Iterator

from conversion.verify.image import Image, Spec
from conversion.verify.rows import Row, judged


def rows(image: Image, spec: Spec) -> Iterator[Row]:
    """The rows of the files that the patch's report names."""
    if spec.get("patch_roots"):
        yield from patched_file_rows(image.patch_report)


def patched_file_rows(report: Dict[str, Any]) -> Iterator[Row]:
    """One row per file that the patch changed: the image must have that content, and it must compile."""
    for entry in report["changed"]:
        path = Path(entry["file"])
        expected = f"{len(entry['edits'])} calls changed"
        try:
            source = path.read_bytes()
            compile(source, str(path), "exec", dont_inherit=True)
        except OSError as error:
            yield judged("patch", str(path), expected, "can't be read", False, str(error.strerror or error))
        except (SyntaxError, ValueError) as error:
            yield judged("patch", str(path), expected, "does not compile", False, str(error))
        else:
            same = hashlib.sha256(source).hexdigest() == entry["sha256"]
            yield judged("patch", str(path), expected, expected if same else "other content", same)
