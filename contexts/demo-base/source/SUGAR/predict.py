"""Registers a sphere with one of the demo's models and prints what came out, as JSON.

Usage: python predict.py [--model FILE] [--device cpu|cuda] [--seed N]
"""

import argparse
import json
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import torch  # noqa: E402

from utils.icosphere import icosphere, level_number  # noqa: E402

MODELS = Path("/opt/model/SUGAR/model_files")
CHANNELS = 2  # sulcal depth and curvature


def load_model(path, device):
    """The module of a checkpoint, ready to predict on ``device``."""
    checkpoint = torch.load(str(path), map_location=torch.device(device))
    return checkpoint["model"].to(device).eval()


def main():
    parser = argparse.ArgumentParser(description="Registers a sphere with one of the demo's models.")
    parser.add_argument("--model", type=Path, default=MODELS / "fsaverage3" / "lh_NoRigid_904_fsaverage3.model")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    model = load_model(arguments.model, arguments.device)
    vertices, _, _ = icosphere(level_number(arguments.model.parent.name))  # the level stands in the path alone
    torch.manual_seed(arguments.seed)
    x = torch.randn(len(vertices), CHANNELS).to(arguments.device)
    xyz = torch.from_numpy(100 * vertices).float().to(arguments.device)
    began = time.perf_counter()
    with torch.no_grad():
        moved, euler = model(x, xyz)
    print(json.dumps({
        "model": arguments.model.name,
        "device": arguments.device,
        "vertices": len(vertices),
        "mean_shift_mm": round(float((moved - xyz).norm(dim=1).mean()), 4),
        "largest_angle": round(float(euler.abs().max()), 4),
        "seconds": round(time.perf_counter() - began, 3),
    }))


if __name__ == "__main__":
    main()
