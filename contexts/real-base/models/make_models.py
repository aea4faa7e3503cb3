"""Makes ten checkpoints of the real GatUNet in the old environment: random weights with a fixed seed, whole pickled modules.

Usage: python make_models.py SOURCE OUT, with SOURCE the folder of gatunet_model.py. The names, the levels and the arguments
are those of the models that DeepPrep 25.1.0 ships.
"""

import inspect
import os
import sys
import time
import types
from pathlib import Path

import torch

SEED = 904
LEVELS = ("fsaverage3", "fsaverage4", "fsaverage5", "fsaverage6")
MODELS = [(level, hemisphere, False) for level in LEVELS for hemisphere in ("lh", "rh")]
MODELS += [("fsaverage6", hemisphere, True) for hemisphere in ("lh", "rh")]
ARGUMENTS = {
    "in_channels": 20, "out_channels": 3, "num_heads": 8, "dropout": 0.0, "use_position_decoding": True,
    "use_residual": False, "input_dropout": 0, "euler_scale": None,
}


def main(source, out):
    """Writes OUT/<level>/<hemisphere>_<kind>_904_<level>.model for each of the ten."""
    sys.path.insert(0, source)
    import gatunet_model
    import utils.pooling

    ask_for_the_cpu(utils.pooling)
    for number, (level, hemisphere, rigid) in enumerate(MODELS):
        began = time.perf_counter()
        torch.manual_seed(SEED + number)
        model = gatunet_model.GatUNet(**ARGUMENTS, ico_level=level, rigid=rigid)
        used(model, os.path.join(source, "utils", "auxi_data", f"{level}.sphere"))
        path = Path(out) / level / f"{hemisphere}_{'Rigid' if rigid else 'NoRigid'}_904_{level}.model"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_as_from_a_gpu(model, path)
        print(f"{path}: {path.stat().st_size} bytes, {time.perf_counter() - began:.1f} s", flush=True)


def ask_for_the_cpu(module):
    """Lets every default argument of the module's functions that says 'cuda' say 'cpu', in memory."""
    for function in vars(module).values():
        if isinstance(function, types.FunctionType) and function.__module__ == module.__name__:
            given = inspect.signature(function).parameters.values()
            defaults = tuple(p.default for p in given if p.default is not inspect.Parameter.empty)
            function.__defaults__ = tuple("cpu" if value == "cuda" else value for value in defaults) or None


def used(model, sphere):
    """One forward pass and evaluation mode: training left what the first pass makes on the module."""
    from nibabel.freesurfer import read_geometry

    xyz = torch.from_numpy(read_geometry(sphere)[0]).float()
    with torch.no_grad():
        model(torch.randn(len(xyz), 2), xyz)
    model.eval()


def save_as_from_a_gpu(model, path):
    """Saves {"model": model} as training on a GPU does: its tensors say cuda:0.

    A torch.load then needs a GPU or a map_location. What the class keeps on the CPU by itself (indexes of pooling,
    frequencies) says cpu.
    """
    names = ("pooling_index", "unpooling_index", "freq_bands")
    own = [vars(module)[name] for module in model.modules() for name in names if name in vars(module)]
    on_cpu = {tensor.untyped_storage().data_ptr() for tensor in own}
    tag = torch.serialization.location_tag
    torch.serialization.location_tag = lambda storage: "cpu" if storage.data_ptr() in on_cpu else "cuda:0"
    try:
        torch.save({"model": model}, path)
    finally:
        torch.serialization.location_tag = tag


if __name__ == "__main__":
    main(*sys.argv[1:])
