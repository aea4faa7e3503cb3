"""Makes the demo's checkpoints in the old environment: seeded random weights, whole pickled modules.

Usage: python make_models.py SOURCE OUT, with SOURCE the folder of gatunet_model.py.
"""

import functools
import sys
from pathlib import Path

import torch

SEED = 904
WARM_UP = 5
COMMON = {"in_channels": 2, "out_channels": 3, "use_residual": True, "input_dropout": 0.0}
KINDS = {
    "NoRigid_904_fsaverage3": {
        "ico_level": "fsaverage3", "rigid": False, "euler_scale": 0.1,
        "num_heads": 4, "dropout": 0.1, "use_position_decoding": True,
    },
    "NoRigid_904_fsaverage4": {
        "ico_level": "fsaverage4", "rigid": False, "euler_scale": 0.05,
        "num_heads": 4, "dropout": 0.2, "use_position_decoding": False, "use_residual": False,
    },
    "Rigid_904_fsaverage4": {
        "ico_level": "fsaverage4", "rigid": True, "euler_scale": 0.5,
        "num_heads": 8, "dropout": 0.1, "use_position_decoding": False, "input_dropout": 0.05,
    },
}
INDEX_MAKERS = ("get_network_index", "get_pooling_index", "get_unpooling_index")


def main(source, out):
    """Writes one checkpoint for each kind and hemisphere under OUT/<level>/."""
    torch.set_num_threads(1)  # sums in one order: the same weights on every run
    sys.path.insert(0, source)
    import gatunet_model

    # Weights were trained on a GPU; here the index tensors are asked for on the CPU, argument by argument.
    for name in INDEX_MAKERS:
        setattr(gatunet_model, name, functools.partial(getattr(gatunet_model, name), device="cpu"))
    for number, (kind, arguments) in enumerate(KINDS.items()):
        for offset, hemisphere in enumerate(("lh", "rh")):
            torch.manual_seed(SEED + 2 * number + offset)
            model = settled(gatunet_model.GatUNet(**{**COMMON, **arguments}), arguments["ico_level"])
            path = Path(out) / arguments["ico_level"] / f"{hemisphere}_{kind}.model"
            path.parent.mkdir(parents=True, exist_ok=True)
            history = [round(1.0 / (epoch + 1), 6) for epoch in range(5)]
            torch.save({"epoch": 904, "history": history, "model": model}, path)
            print(f"{path}: {sum(p.numel() for p in model.parameters())} parameters, {path.stat().st_size} bytes")


def settled(model, level):
    """``model`` in evaluation mode, after a few passes in training mode that give batch norm its running statistics.

    The first one leaves the positions of the vertices on the module.
    """
    from utils.icosphere import icosphere, level_number

    vertices, _, _ = icosphere(level_number(level))
    xyz = torch.from_numpy(100 * vertices).float()
    with torch.no_grad():
        for _ in range(WARM_UP):
            model(torch.randn(len(xyz), COMMON["in_channels"]), xyz)
    return model.eval()


if __name__ == "__main__":
    main(*sys.argv[1:])
