"""Queries and keys as AnyUp and JAFAR make them: of torch's multi-head attention, the part that reaches their output."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class HeadProjections(nn.Module):
    """The projections of queries and keys of an nn.MultiheadAttention, whose initial values and state_dict this has.

    What is upsampled is the features themselves, not a projection of them: those of values (v_proj_weight or the last
    third of in_proj_weight, the last third of in_proj_bias) and of the output (out_proj) reach nothing. They are here
    because checkpoints have them, and take no gradient: DistributedDataParallel would wait for it.

    Args:
        dim: D of queries and keys.
        value_dim: of values.
    """

    def __init__(self, dim: int, value_dim: int):
        super().__init__()
        self.out_proj = nn.Linear(dim, dim)
        if value_dim == dim:
            self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        else:  # torch keeps them apart where they do not fit into one
            self.q_proj_weight = nn.Parameter(torch.empty(dim, dim))
            self.k_proj_weight = nn.Parameter(torch.empty(dim, dim))
            self.v_proj_weight = nn.Parameter(torch.empty(dim, value_dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        for name, parameter in self.named_parameters(recurse=False):
            if name != "in_proj_bias":
                nn.init.xavier_uniform_(parameter)
        nn.init.zeros_(self.out_proj.bias)
        self.in_one = value_dim == dim
        self.out_proj.requires_grad_(False)
        if not self.in_one:
            self.v_proj_weight.requires_grad_(False)

    def forward(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """[..., D] and [..., D], of the same shapes."""
        of_query, of_key = (
            self.in_proj_weight.chunk(3)[:2] if self.in_one else (self.q_proj_weight, self.k_proj_weight)
        )
        query_bias, key_bias, _ = self.in_proj_bias.chunk(3)
        return F.linear(query, of_query, query_bias), F.linear(key, of_key, key_bias)


class NormalisedProjections(nn.Module):
    """HeadProjections of queries and keys divided by their root mean square.

    Args:
        dim: D of queries and keys.
        value_dim: of values.
        norm_values: have the norm of the values that JAFAR's checkpoints have; it reaches nothing.
    """

    def __init__(self, dim: int, value_dim: int, norm_values: bool):
        super().__init__()
        self.norm_q = nn.RMSNorm(dim)
        self.norm_k = nn.RMSNorm(dim)
        if norm_values:
            self.norm_v = nn.RMSNorm(value_dim).requires_grad_(False)
        self.attention = HeadProjections(dim, value_dim)

    def forward(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        return self.attention(self.norm_q(query), self.norm_k(key))


class QueriesAndKeys(nn.Module):
    """A 3x3 convolution of the queries, and NormalisedProjections of them and of the keys. Arguments as there."""

    def __init__(self, dim: int, value_dim: int, norm_values: bool = False):
        super().__init__()
        self.cross_attn = NormalisedProjections(dim, value_dim, norm_values)
        self.conv2d = nn.Conv2d(dim, dim, 3, padding=1, bias=False)

    def forward(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """query [N, D, H, W], key [N, D, h, w], of the same shapes."""
        query, key = self.cross_attn(self.conv2d(query).permute(0, 2, 3, 1), key.permute(0, 2, 3, 1))
        return query.permute(0, 3, 1, 2), key.permute(0, 3, 1, 2)
