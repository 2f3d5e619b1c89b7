"""FADE (ECCV 2022, arXiv 2207.10392; arXiv 2407.13500): CARAFE whose weights the encoder's high-res map helps to make, and
a gate that lets that map itself through."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upwell import ops
from upwell.compiled import KERNELS, check_kernel
from upwell.nn.check import check_channels, check_choice, check_map, check_multiple, check_same_batch, check_whole
from upwell.nn.initial import uniform_convolutions
from upwell.nn.layer import is_plain, is_projection, laid_out

VARIANTS = ("l2h", "h2l", "lite", "ungated")
COMPRESSED = 64  # channels that both maps are compressed to, as published
ENCODING = {"kernel_size": (3, 3), "stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "padding_mode": "zeros"}


class FADE(nn.Module):
    """The modules of poppinace/fade: same constructor, call (en, de), initial values and state_dict.

    Args:
        in_channels_en, in_channels_de: channels of the encoder's high-res map en and of the decoder's low-res map de (as
            many as en's if None).
        scale: integer ratio r, which en has to be of de. None: en may have any size; pixel p of H belongs to cell
            floor(p h/H).
        up_kernel_size: K, taps per side.
        variant: "l2h" (FADE_L2H.py's FADE); "h2l" (FADE_H2L.py's: the same function under other names); "lite" (FADELite:
            compressed to K^2 channels, which a depthwise convolution encodes); "ungated" (SemiShiftUp: no gate).
        border: "zero" (published): a tap outside the map counts as 0 and keeps its weight; "mask": it leaves the softmax.

    With a gate, an en of other channels than de passes a 1x1 convolution, `aligner.conv`, as in the paper. (In the published
    code it is commented out.)
    """

    def __init__(
        self,
        in_channels_en: int,
        in_channels_de: int | None = None,
        scale: int | None = 2,
        up_kernel_size: int = 5,
        variant: str = "l2h",
        border: str = "zero",
    ):
        super().__init__()
        in_channels_de = in_channels_en if in_channels_de is None else in_channels_de
        check_channels("FADE", in_channels_en=in_channels_en, in_channels_de=in_channels_de)
        if scale is not None:
            check_whole("FADE", "scale", scale, 1)
        check_kernel("FADE", "up_kernel_size", up_kernel_size, KERNELS["carafe"])
        check_choice("FADE", "variant", variant, VARIANTS)
        check_choice("FADE", "border", border, ops.BORDERS)
        self.in_channels_en = in_channels_en
        self.in_channels_de = in_channels_de
        self.scale = scale
        self.up_kernel_size = up_kernel_size
        self.variant = variant
        self.border = border
        gated = variant != "ungated"
        self.gate_generator = GateGenerator(in_channels_de) if gated else None
        self.aligner = Aligner(in_channels_en, in_channels_de) if gated and in_channels_en != in_channels_de else None
        taps = up_kernel_size**2
        if variant == "h2l":
            self.kernel_generator = SemiShiftH2L(in_channels_en, in_channels_de, taps)
        else:
            self.ker_generator = SemiShift(in_channels_en, in_channels_de, taps, depthwise=variant == "lite")
        self.apply(uniform_convolutions)

    def forward(self, en: Tensor, de: Tensor) -> Tensor:
        """en [N, in_channels_en, H, W], de [N, in_channels_de, h, w] -> [N, in_channels_de, H, W]. ValueError if not."""
        check_map(self, "en", en, self.in_channels_en)
        check_map(self, "de", de, self.in_channels_de)
        check_same_batch("FADE", "en", en, "de", de)
        if self.scale is not None:
            check_multiple("FADE", "en", en, de, int(self.scale))
        logits = (self.kernel_generator if self.variant == "h2l" else self.ker_generator)(en, de)
        if self.gate_generator is None:
            return ops.carafe(de, logits, self.up_kernel_size, 1, self.border)
        gate = ops.nearest(self.gate_generator(de), en.shape[2:])
        upsampled = _upsampled(de, logits, gate, self.up_kernel_size, self.border)
        aligner = self.aligner
        if aligner is not None and is_plain(aligner, Aligner) and is_projection(aligner.conv):
            return _plus_projection(upsampled, gate, en, aligner.conv)
        return upsampled + gate * (en if aligner is None else aligner(en))


# gate passed + (1 - gate) carafe(de) is linear in the gate, so the gate goes where a pixel has few numbers: into carafe's K^2
# weights, and into en before the aligner. Neither the output nor its gradient is gone through for it.


def _upsampled(de: Tensor, logits: Tensor, gate: Tensor, kernel: int, border: str) -> Tensor:
    """(1 - gate) carafe(de, logits)."""
    if border == "mask":
        logits = logits.masked_fill(_taps_outside(kernel, de.shape[2:], logits), -torch.inf)
    dtype = torch.promote_types(logits.dtype, torch.float32)
    weights = torch.softmax(logits, 1, dtype=dtype) * (1 - gate.to(dtype))
    return ops.carafe_reassembly(de, weights, kernel)


def _taps_outside(kernel: int, low: torch.Size, logits: Tensor) -> Tensor:
    """[kernel^2, H, W]: whether a tap of a pixel lies outside the h x w cells."""
    rows, columns = (_along(kernel, n, m, logits.device) for n, m in zip(low, logits.shape[2:], strict=True))
    return (rows[:, None, :, None] | columns[None, :, None, :]).flatten(0, 1)


def _along(kernel: int, cells: int, pixels: int, device: torch.device) -> Tensor:
    """The same of one axis, [kernel, pixels]."""
    own = torch.arange(pixels, device=device) * cells // max(pixels, 1)
    taps = own + torch.arange(-(kernel // 2), kernel // 2 + 1, device=device)[:, None]
    return (taps < 0) | (taps >= cells)


def _plus_projection(upsampled: Tensor, gate: Tensor, en: Tensor, conv: nn.Conv2d) -> Tensor:
    """upsampled + gate conv(en), conv of 1 x 1: the product of gate en and its weight is added where upsampled stands, unless
    a gradient may be asked for: that of what is written over takes copies."""
    weight, passed = laid_out(conv.weight).flatten(1), gate * en
    if conv.bias is not None:
        weight, passed = torch.cat([weight, laid_out(conv.bias)[:, None]], 1), torch.cat([passed, gate], 1)
    dtype = torch.promote_types(upsampled.dtype, passed.dtype)
    upsampled, passed = upsampled.to(dtype).flatten(2), passed.to(dtype).flatten(2)
    add = torch.baddbmm if torch.is_grad_enabled() else Tensor.baddbmm_
    sums = add(upsampled, weight.to(dtype).expand(en.shape[0], -1, -1), passed)
    return sums.unflatten(2, en.shape[2:])


class GateGenerator(nn.Module):
    """How much of the encoder's map a cell lets through."""

    def __init__(self, in_channels: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 1, 1)

    def forward(self, de: Tensor) -> Tensor:
        """de [N, C, h, w] -> [N, 1, h, w], 0 .. 1."""
        return torch.sigmoid(self.conv(de))


class Aligner(nn.Module):
    """The encoder's map in the decoder's channels."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, en: Tensor) -> Tensor:
        return self.conv(en)


class SemiShift(nn.Module):
    """One 3x3 convolution for both compressed maps, each at its own resolution: all pixels of a cell share what the
    low-res one gives. The sum has the bias twice, as published."""

    def __init__(self, in_channels_en: int, in_channels_de: int, taps: int, depthwise: bool = False):
        super().__init__()
        compressed, groups = (taps, taps) if depthwise else (COMPRESSED, 1)
        self.compressor_en = nn.Conv2d(in_channels_en, compressed, 1)
        self.compressor_de = nn.Conv2d(in_channels_de, compressed, 1, bias=False)
        self.content_encoder = nn.Conv2d(compressed, taps, 3, padding=1, groups=groups)

    def forward(self, en: Tensor, de: Tensor) -> Tensor:
        """en [N, Ce, H, W], de [N, Cd, h, w] -> logits [N, taps, H, W]."""
        encoder = self.content_encoder
        if is_plain(encoder, nn.Conv2d, groups=1, **ENCODING):
            kernels, bias = laid_out(encoder.weight), encoder.bias
            of_en, of_de = (_encoded(*each, kernels, bias) for each in ((self.compressor_en, en), (self.compressor_de, de)))
        else:
            of_en, of_de = encoder(self.compressor_en(en)), encoder(self.compressor_de(de))
        return of_en + ops.nearest(of_de, en.shape[2:])


class SemiShiftH2L(nn.Module):
    """SemiShift under the names of FADE_H2L.py."""

    def __init__(self, in_channels_en: int, in_channels_de: int, taps: int):
        super().__init__()
        self.conv1_en = nn.Conv2d(in_channels_en, COMPRESSED, 1)
        self.conv1_de = nn.Conv2d(in_channels_de, COMPRESSED, 1, bias=False)
        self.conv2_kernels = nn.Parameter(nn.init.xavier_normal_(torch.empty(taps, COMPRESSED, 3, 3)))
        self.conv2_bias = nn.Parameter(torch.zeros(taps))

    def forward(self, en: Tensor, de: Tensor) -> Tensor:
        """en [N, Ce, H, W], de [N, Cd, h, w] -> logits [N, taps, H, W]."""
        kernels = laid_out(self.conv2_kernels)
        of_en, of_de = (
            _encoded(*each, kernels, self.conv2_bias) for each in ((self.conv1_en, en), (self.conv1_de, de))
        )
        return of_en + ops.nearest(of_de, en.shape[2:])


def _encoded(compressor: nn.Conv2d, x: Tensor, kernels: Tensor, bias: Tensor | None) -> Tensor:
    """The 3x3 convolution, outside 0, of the compressed x: one convolution of x itself where that takes fewer multiply-adds.

    x [N, C, H, W], kernels [taps, M, 3, 3], bias [taps] -> [N, taps, H, W].
    """
    (taps, M), C = kernels.shape[:2], compressor.in_channels
    if not is_projection(compressor) or 9 * taps * C >= M * C + 9 * taps * M:
        return F.conv2d(compressor(x), kernels, bias, padding=1)
    merged = torch.einsum("tmyx,mc->tcyx", kernels, laid_out(compressor.weight).flatten(1))
    merged = merged.contiguous()  # einsum's strides would have a convolution turn x and its result to channels_last
    if compressor.bias is None:
        return F.conv2d(x, merged, bias, padding=1)
    # The compressor's bias counts only inside the map: of every tap, in the rows and the columns where it lies inside.
    of_bias = torch.einsum("tmyx,m->tyx", kernels, compressor.bias)
    rows, columns = (_taps_inside(length, x) for length in x.shape[2:])
    added = rows.T @ (of_bias @ columns)
    return F.conv2d(x, merged, bias, padding=1).add_(added)


def _taps_inside(length: int, like: Tensor) -> Tensor:
    """[3, length]: 1 where a tap before, at or behind a place is one of 0 .. length - 1, else 0."""
    places = torch.arange(length, device=like.device) + torch.arange(-1, 2, device=like.device)[:, None]
    return ((places >= 0) & (places < length)).to(like.dtype)
