"""Makes the demo's base image on this machine: `python -m lab.demo_base`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from lab.base_image import BaseImage, run

if TYPE_CHECKING:
    from collections.abc import Sequence

TAG = "deepprep-demo:25.1.0"
NEEDED_BYTES = 8 * 10**9  # while the image is made
# The first `make demo` in all: this image, the bake beside it (the recipe's `disk-gib`), the registry, what is pulled.
DEMO_BYTES = 31 * 10**9


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m lab.demo_base", description=__doc__)
    parser.add_argument("--tag", default=TAG, help="name of the image (default %(default)s)")
    parser.add_argument("--force", action="store_true", help="make it although it is there")
    parser.add_argument("--demo", action="store_true", help="ask for the disk that all of `make demo` takes")
    options = parser.parse_args(arguments)
    takes = "about five minutes on two cores"
    image = BaseImage(tag=options.tag, target="demo", needed_bytes=NEEDED_BYTES, takes=takes)
    if options.demo:
        image = replace(image, needed_bytes=DEMO_BYTES, needed_for="with all of `make demo`")
    return run(image, force=options.force)


if __name__ == "__main__":
    sys.exit(main())
