"""Keeps TensorFlow on the CPU where it has no code for the card; torch, in the same process too, keeps the card.

``image_uplift_device.pth`` beside this file calls `install` whenever an interpreter of this environment starts, with
what the recipe's ``[device]`` says. Nothing happens before somebody imports TensorFlow. Then the driver is asked which
cards there are; those later than what TensorFlow serves are hidden from it, and one line on stderr says so. Where all
cards are served, or there is none, TensorFlow finds everything as if this file were not there.

IMAGE_UPLIFT_DEVICE=gpu in the environment switches this off.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # the module that has it is imported by nothing else at the start of an interpreter
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

NO_CARD = ("", "-1")  # values of CUDA_VISIBLE_DEVICES that show none


def install(packages: dict[str, dict[str, str]]) -> None:
    """Wait for the import of packages: name of the module → {"up_to": "9.0"}, the latest card that it serves."""
    # A folder that is on the path by two names, as lib64, has its .pth files read twice.
    if os.environ.get("IMAGE_UPLIFT_DEVICE") != "gpu" and not any(isinstance(known, Finder) for known in sys.meta_path):
        sys.meta_path.insert(0, Finder(packages))


class Finder:
    """Finds no module itself: lets the others do it, and adds a step to the loading of some."""

    def __init__(self, packages: dict[str, dict[str, str]]) -> None:
        self.packages = packages
        self.asking = False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Give the spec that the other finders give, for the packages that are waited for."""
        if name not in self.packages or self.asking:  # some finders ask all others in their turn
            return None
        others = [finder.find_spec for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        self.asking = True
        try:
            spec: Any = next((found for find in others if (found := find(name, path, target))), None)
        finally:
            self.asking = False
        load = getattr(getattr(spec, "loader", None), "exec_module", None)
        if spec is not None and load is not None:

            def exec_module(module: ModuleType) -> None:
                load(module)
                hold_back(module, self.packages[name]["up_to"])

            spec.loader.exec_module = exec_module
        return spec


def hold_back(tensorflow: Any, up_to: str) -> None:
    """Hide the cards later than a compute capability from a TensorFlow that has just been imported.

    Its own way of asking starts CUDA in this process, which a fork would not survive; so NVIDIA's management library is
    asked first, and TensorFlow only where there is a later card, or where that library can't be asked.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES") in NO_CARD:
        return
    latest = tuple(map(int, up_to.split(".")))
    known = capabilities()
    if known is not None and all(capability <= latest for capability in known):
        return
    name = f"TensorFlow {getattr(tensorflow, '__version__', '')}".rstrip()
    try:
        served, late = [], []
        for card in tensorflow.config.list_physical_devices("GPU"):
            details = tensorflow.config.experimental.get_device_details(card)
            capability = tuple(details.get("compute_capability") or ())
            if capability <= latest:
                served.append(card)
            else:
                late.append(f"{details.get('device_name', 'a card')} ({'.'.join(map(str, capability))})")
        if late:
            tensorflow.config.set_visible_devices(served, "GPU")
            where = "the other cards" if served else "the CPU"
            say(f"{name} has no code for {', '.join(late)} and runs on {where}; IMAGE_UPLIFT_DEVICE=gpu lets it try")
    except Exception as error:  # noqa: BLE001  an import must not fail by this
        say(f"{name} can't be held back from the card: {type(error).__name__}: {error}")


def say(text: str) -> None:
    """Tell in one line what was done."""
    sys.stderr.write(f"image-uplift: {text}\n")


def capabilities() -> list[tuple[int, int]] | None:
    """Give the compute capabilities of the driver's cards, as (12, 0), without starting CUDA; None: nobody tells."""
    import ctypes

    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
        if nvml.nvmlInit_v2():
            return None
    except (OSError, AttributeError):
        return None
    try:
        return list(_capabilities(nvml, ctypes))
    except (ValueError, AttributeError):
        return None
    finally:
        nvml.nvmlShutdown()


def _capabilities(nvml: Any, ctypes: Any) -> Any:
    count, card, major, minor = ctypes.c_uint(), ctypes.c_void_p(), ctypes.c_int(), ctypes.c_int()
    _done(nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)))
    for index in range(count.value):
        _done(nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(card)))
        _done(nvml.nvmlDeviceGetCudaComputeCapability(card, ctypes.byref(major), ctypes.byref(minor)))
        yield major.value, minor.value


def _done(status: int) -> None:
    if status:
        raise ValueError(status)
