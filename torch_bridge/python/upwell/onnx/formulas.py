"""The operators that ONNX can say, by their names: each formula has the arguments of its operator, `Term`s for tensors, and a list
of numbers (of `Term`s where they are known at run time) for sizes and ratios."""

from upwell.onnx.attention import adaptive_avg_pool2d, cross_attention
from upwell.onnx.convolution import merge_kernels, transposed_conv
from upwell.onnx.difference import pcdc, pcdc_scores
from upwell.onnx.guided_filter import colour_guided_filter, guided_filter
from upwell.onnx.interpolate import bicubic, bilinear, index_unpool, nearest, sample_at_offsets
from upwell.onnx.norm import fold_group_norm, group_stats, upsampled_group_stats
from upwell.onnx.reassembly import (
    adaptive_conv,
    carafe,
    carafe_reassembly,
    carafe_reassembly_d_weight,
    fns,
    local_attention,
    range_weights,
)
from upwell.onnx.wrc import wrc_data, wrc_prior, wrc_spectral

FORMULAS = {
    formula.__name__: formula
    for formula in (
        adaptive_conv,
        bicubic,
        bilinear,
        carafe,
        carafe_reassembly,
        carafe_reassembly_d_weight,
        colour_guided_filter,
        cross_attention,
        fns,
        fold_group_norm,
        group_stats,
        guided_filter,
        index_unpool,
        local_attention,
        merge_kernels,
        nearest,
        pcdc,
        pcdc_scores,
        range_weights,
        sample_at_offsets,
        transposed_conv,
        upsampled_group_stats,
        wrc_data,
        wrc_prior,
        wrc_spectral,
    )
}
OF_TORCH = {"adaptive_avg_pool2d": adaptive_avg_pool2d}  # aten operators that are functions of their own too
NOT_SAID = {"wrc_exact": "it iterates until a residual is small, which has no formula of fixed length"}
IGNORED = {"keep_mib"}  # arguments that change no number
