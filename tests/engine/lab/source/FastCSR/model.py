import torch


def load_saved_model(fname):
    return torch.load(fname, map_location="cpu")


def load_all_related_files(folder):
    saved = torch.load(
        open(folder + "/model_final_checkpoint.model", "rb"),
    )
    return saved
