"""Runs a module of ``conversion`` in a Python that runs nothing else of the image but itself and its standard library.

    python -I -S -B /uplift/conversion/verify/isolated.py conversion.verify …

``-I`` leaves PYTHONPATH and the like aside, ``-S`` every .pth, sitecustomize and package. Both leave out where
``conversion`` is, too.
"""

from __future__ import annotations

import os
import runpy
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.abspath(os.path.join(__file__, "..", "..", "..")))
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
