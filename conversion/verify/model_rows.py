"""Whether the image's model files are what the old environment's were. Each set is checked by a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Iterator

from conversion.failures import SpecError
from conversion.verify.image import Image, Spec
from conversion.verify.rows import FAIL, INFO, Row

EXPECTED = "the object graph and the probe's outputs of the old environment"


def rows(image: Image, spec: Spec) -> Iterator[Row]:
    """The rows of all sets of models.

    Raises:
        SpecError: nobody said where the base's root is, or what extract wrote.
    """
    models = spec.get("models", {})
    if models.get("sets"):
        if image.base is None or image.extracted is None:
            raise SpecError(f"no {'--base' if image.base is None else '--extracted'} was given")
        yield from model_rows(models, str(image.extracted), str(image.base))


def model_rows(raw_spec: Any, extracted: str, base: str) -> Iterator[Row]:
    """The rows of all sets, each set checked by a process of its own: this one need not have torch.

    Args:
        raw_spec: the JSON document of the model sets.
        extracted: the folder that extract wrote. base: the old file system.
    """
    with tempfile.TemporaryDirectory() as folder:
        spec_file = Path(folder) / "models.json"
        spec_file.write_text(json.dumps(raw_spec), encoding="utf-8")
        for model_set in raw_spec.get("sets", ()):
            command = [sys.executable, "-m", "conversion.verify.prove_models", "--spec", str(spec_file)]
            command += ["--set", model_set["name"], "--extracted", extracted, "--base", base]
            done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
            rows = [Row(**json.loads(line)) for line in done.stdout.splitlines()]
            yield from rows
            if done.returncode:
                last = " / ".join([line for line in done.stderr.strip().splitlines() if line][-3:])
                text = f"exit status {done.returncode} after {len(rows)} models: {last}"
                yield Row("model", f"set {model_set['name']}", EXPECTED, "the check broke off", FAIL, text)
            elif not rows:
                yield Row("model", f"set {model_set['name']}", EXPECTED, "no model was checked", FAIL)
            else:  # whoever reads the report knows the sets, not the files that they have in the image
                yield Row(
                    "model-set", model_set["name"], "", f"{sum(row.check == 'model' for row in rows)} files", INFO
                )
