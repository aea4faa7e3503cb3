import torch


def get_network_index(count, device="cuda"):
    return torch.arange(count).to(device)
