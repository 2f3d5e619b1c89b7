"""Upsamplers as published, of a module's own layers and torch operations: every map made of both is made at high
resolution."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reference import formula


def sapa(module: nn.Module, y: Tensor, x: Tensor) -> Tensor:
    """tiny-smart/sapa. y [N, Cy, H, W], x [N, Cx, h, w] -> [N, Cx, H, W]."""
    query = module.q(module.norm_y(y) if module.norm else y)
    key = module.k(module.norm_x(x) if module.norm else x)
    return formula.sapa_attention(x, query, key, module.up_kernel_size, module.border)


def sapa_exp(module: nn.Module, y: Tensor, x: Tensor) -> Tensor:
    """poppinace/sapa. y [N, Cy, H, W], x [N, Cx, h, w] -> [N, out, H, W]."""
    normal_y, normal_x = module.norm_y(_channels_last(y)), module.norm_x(_channels_last(x))
    high, normal_high = (_channels_last(formula.nearest(low, y.shape[2:])) for low in (x, _channels_first(normal_x)))
    if module.q_mode == "gate":
        gate = torch.sigmoid(module.gate(normal_high))
        query = gate * module.qy(normal_y) + (1 - gate) * module.qx(high)
    else:
        query = module.q(torch.cat([normal_y, high], -1) if module.q_mode == "cat" else normal_y)
    value = x if module.v is None else _channels_first(module.v(normal_x))
    query, key = _channels_first(query), _channels_first(module.k(normal_x))
    return formula.sapa_attention(value, query, key, module.up_kernel_size, module.border)


def fade(module: nn.Module, en: Tensor, de: Tensor) -> Tensor:
    """poppinace/fade. en [N, Ce, H, W], de [N, Cd, h, w] -> [N, Cd, H, W]."""
    size = en.shape[2:]
    of_en, of_de = semi_shift(module.kernel_generator if module.variant == "h2l" else module.ker_generator, en, de)
    logits = of_en + formula.nearest(of_de, size)
    output = formula.carafe(de, logits, module.up_kernel_size, 1, module.border)
    if module.variant == "ungated":
        return output
    gate = torch.sigmoid(formula.nearest(module.gate_generator.conv(de), size))
    return gate * (en if module.aligner is None else module.aligner.conv(en)) + (1 - gate) * output


def semi_shift(generator: nn.Module, en: Tensor, de: Tensor) -> tuple[Tensor, Tensor]:
    """What each map adds to the logits of a pixel, at its own resolution."""
    if hasattr(generator, "content_encoder"):
        encode, compress = generator.content_encoder, (generator.compressor_en, generator.compressor_de)
    else:
        compress = (generator.conv1_en, generator.conv1_de)

        def encode(compressed: Tensor) -> Tensor:
            return F.conv2d(compressed, generator.conv2_kernels, generator.conv2_bias, padding=1)

    return encode(compress[0](en)), encode(compress[1](de))


def index_net(module: nn.Module, guide: Tensor, x: Tensor) -> Tensor:
    """poppinace/indexnet_matting. guide [N, Cg, r h, r w], x [N, C, h, w] -> [N, C, r h, r w]."""
    return indices(module.block, guide)[1] * formula.nearest(x, guide.shape[2:])


def indices(block: nn.Module, en: Tensor) -> tuple[Tensor, Tensor]:
    """The encoder's and the decoder's index, [N, 1 or C, r h, r w], of an index block: a pixel of a cell at a time."""
    r = block.scale_factor
    if hasattr(block, "indexnet"):
        numbers = [part.unsqueeze(1) for part in block.indexnet(en).unbind(1)]
    else:
        numbers = [block.get_submodule(f"indexnet{i + 1}")(en) for i in range(r * r)]
    decoder = [number.sigmoid() for number in numbers]
    total = sum(number.exp() for number in decoder)
    encoder = [number.exp() / total for number in decoder]
    return _interleaved(encoder, r), _interleaved(decoder, r)


def dysample(module: nn.Module, x: Tensor) -> Tensor:
    """tiny-smart/dysample: a grid, of x's dtype, for torch's grid_sample. x [N, C, h, w] -> [N, C, r h, r w]."""
    N, C, h, w = x.shape
    r, G, is_high = module.scale, module.groups, module.style == "pl"
    source = F.pixel_shuffle(x, r) if is_high else x
    offsets = module.offset(source) * (0.25 if module.scope is None else 0.5 * module.scope(source).sigmoid())
    offsets = (F.pixel_unshuffle(offsets, r) if is_high else offsets) + module.init_pos
    grid = []
    for axis, (offset, length) in enumerate(zip(offsets.chunk(2, 1), (w, h))):
        centre = (torch.arange(length) + 0.5).to(x.dtype).reshape((-1,) if axis == 0 else (-1, 1))
        grid.append(F.pixel_shuffle(2 * (centre + offset) / length - 1, r))
    grid = torch.stack(grid, -1).flatten(0, 1)
    cells = x.reshape(N * G, C // G, h, w)
    return F.grid_sample(cells, grid, padding_mode="border", align_corners=False).reshape(N, C, r * h, r * w)


def jbu(module: nn.Module, source: Tensor, guidance: Tensor) -> Tensor:
    """mhamilton723/FeatUp's JBULearnedRange: a map of all windows. source [N, C, h, w], guidance [N, Cg, H, W] -> [N, C, H, W]."""
    projection, diameter = module.range_proj(guidance), 2 * module.radius + 1
    squares = torch.linspace(-1, 1, diameter, dtype=source.dtype).square()
    spatial = torch.exp(-(squares[:, None] + squares) / (2 * module.sigma_spatial**2)).flatten()
    temperature = module.range_temp.exp().clamp(1e-4, 1e4)
    weights = formula.range_weights(temperature * projection, projection, spatial, diameter)
    weights = weights + 0.1 * module.fixup_proj(torch.cat([weights, guidance], 1))
    return formula.adaptive_conv(formula.bicubic(source, guidance.shape[2:]), weights, diameter)


def jbu_stack(module: nn.Module, source: Tensor, guidance: Tensor) -> Tensor:
    """mhamilton723/FeatUp's JBUStack. source [N, C, h, w], guidance [N, 3, H, W] -> [N, C, 16 h, 16 w]."""
    for up in (module.up1, module.up2, module.up3, module.up4):
        source = jbu(up, source, F.adaptive_avg_pool2d(guidance, [2 * length for length in source.shape[2:]]))
    return source + 0.1 * module.fixup_proj(source)


def local_attender(module: nn.Module, guide: Tensor, value: Tensor) -> Tensor:
    """mwalmer-umd/UPLiFT. guide [N, Cg, r h, r w], value [N, C, h, w] -> [N, C, r h, r w]."""
    logits = module.conv1(guide)
    if module.conv_res:
        common = min(guide.shape[1], logits.shape[1])
        logits = torch.cat([logits[:, :common] + guide[:, :common], logits[:, common:]], 1)
    return formula.local_attention(value, logits)


def _interleaved(pixels: list[Tensor], r: int) -> Tensor:
    """Of each pixel of a cell a map [N, C, h, w], row-major -> [N, C, r h, r w]."""
    rows = [torch.stack(pixels[i * r : (i + 1) * r], -1).flatten(-2) for i in range(r)]
    return torch.stack(rows, -2).flatten(2, 3)


def _channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def _channels_first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)
