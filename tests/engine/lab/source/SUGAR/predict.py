import torch


def predict(path, device):
    return torch.load(path, map_location=torch.device(device))["model"]
