"""What libraries keep elsewhere than under the name that one would expect: arguments of constructors, and parts.

An entry of ELSEWHERE is needed only for a class that lacks attributes which its newer version wants (torch's own), or
that a changed library makes anew. Paths are dotted, from the module on.
"""

from __future__ import annotations

from typing import Dict, Mapping

_ATTENTION = {
    "d_model": "self_attn.embed_dim",
    "nhead": "self_attn.num_heads",
    "dim_feedforward": "linear1.out_features",
    "dropout": "dropout.p",
    "layer_norm_eps": "norm1.eps",
    "batch_first": "self_attn.batch_first",
}

ELSEWHERE: Mapping[str, Dict[str, str]] = {
    "torch.nn.modules.transformer.TransformerEncoderLayer": _ATTENTION,
    "torch.nn.modules.transformer.TransformerDecoderLayer": _ATTENTION,
    "torch.nn.modules.transformer.TransformerEncoder": {"encoder_layer": "layers.0"},
    "torch.nn.modules.transformer.TransformerDecoder": {"decoder_layer": "layers.0"},
}

# Parts of a library's module that a newer version has under another name; one part may have had two names.
RENAMED: Mapping[str, Dict[str, str]] = {
    "torch_geometric.nn.conv.gat_conv.GATConv": {"lin_src": "lin", "lin_dst": "lin"},
}
