"""Makes the lab's base of the true shape: `python -m lab.real_base --deepprep FOLDER`.

The sources are those of FOLDER, a checkout of DeepPrep; the models are of its class, with random weights. Three things
are not as in the real image: Python is Debian's 3.11, PyTorch3D is a small stand-in, TensorFlow and nighres are left
out.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bake.errors import UsageError
from generator.console.reporter import Reporter
from lab.base_image import CONTEXT, BaseImage, run

if TYPE_CHECKING:
    from collections.abc import Sequence

TAG = "uplift-real/deepprep:25.1.0"
LAB = CONTEXT.with_name("real-base")
NEEDED_BYTES = 16 * 10**9
NEEDED_FILES = ("SUGAR/gatunet_model.py", "SUGAR/utils/pooling.py", "FastCSR/fastcsr_model_infer.py", "deepprep.sh")


def sources(checkout: Path) -> Path:
    """The folder of DeepPrep's sources in a checkout, as an absolute path.

    Raises:
        UsageError: the folder is no checkout of DeepPrep.
    """
    folder = (checkout / "deepprep").resolve()
    missing = [name for name in NEEDED_FILES if not (folder / name).is_file()]
    if missing:
        raise UsageError(
            f"no checkout of DeepPrep: it lacks {', '.join(f'deepprep/{name}' for name in missing)}",
            where=str(checkout),
            remedy="git clone --branch 25.1.0 https://github.com/pBFSLab/DeepPrep, and name that folder",
        )
    return folder


def real_base(tag: str, checkout: Path) -> BaseImage:
    """What the base is made from.

    Raises:
        UsageError: ``checkout`` is no checkout of DeepPrep.
    """
    return BaseImage(
        tag=tag,
        target="real",
        needed_bytes=NEEDED_BYTES,
        takes="about a quarter of an hour on two cores: torch-scatter and torch-sparse are compiled, ten models made",
        contexts={"lists": LAB / "environment", "maker": LAB / "models", "source": sources(checkout)},
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m lab.real_base", description=__doc__)
    parser.add_argument("--deepprep", required=True, type=Path, help="checkout of pBFSLab/DeepPrep")
    parser.add_argument("--tag", default=TAG, help="name of the image (default %(default)s)")
    parser.add_argument("--force", action="store_true", help="make it although it is there")
    options = parser.parse_args(arguments)
    try:
        image = real_base(options.tag, options.deepprep)
    except UsageError as error:
        Reporter().failure(error)
        return error.exit_status
    return run(image, force=options.force)


if __name__ == "__main__":
    sys.exit(main())
