"""Every codemod by the name that a recipe gives it in ``patch.codemods``: a new one is its module and an entry here."""

from __future__ import annotations

from typing import Collection, Mapping

from conversion.patch import torch_load
from conversion.patch.codemod import Codemod, Result

CODEMODS: Mapping[str, Codemod] = {
    "torch-load": torch_load.CODEMOD,
}


def transform(names: Collection[str], source: bytes, known: Mapping[str, str]) -> Result:
    """Run codemods on a file, each on what the one before it made; places are those of the text that it was given."""
    done = Result(source)
    for name in names:
        step = CODEMODS[name].transform(done.source, known)
        done = Result(
            step.source,
            (*done.edits, *step.edits),
            (*done.undecided, *step.undecided),
            done.error or step.error,
            {**done.exports, **step.exports},
        )
    return done
