"""IndexNet (ICCV 2019, arXiv 1908.00672): an index, made of the encoder's map, says how much each pixel of a cell gives to
a pooling, and how much it gets from an upsampling."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upwell import ops
from upwell.nn.check import check, check_channels, check_choice, check_map, check_multiple, check_rank, check_same_batch, check_whole
from upwell.nn.layer import is_plain
from upwell.nn.pixel_shuffle import pixel_shuffle


class IndexBlock(nn.Module):
    """What the index blocks of poppinace/indexnet_matting have in common: constructor, initial values and state_dict are
    the published ones.

    Strided convolutions make r^2 numbers of a cell. Their sigmoids are the cell's pixels in the decoder's index; the
    softmax over these r^2 sigmoids is the encoder's.

    Args:
        inp: C of the encoder's map.
        use_nonlinear: two convolutions with a batch norm and ReLU6 between them instead of one.
        use_context: kernels of 2 r, which look beyond the cell, instead of r (of 3 where r is 1).
        batch_norm: what makes the norm of so many channels.
        scale_factor: integer ratio r; 2 is published.
    """

    def __init__(
        self,
        inp: int,
        use_nonlinear: bool = False,
        use_context: bool = False,
        batch_norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
        scale_factor: int = 2,
    ):
        super().__init__()
        for name, value in (("inp", inp), ("scale_factor", scale_factor)):
            check_whole(type(self).__name__, name, value, 1)
        self.inp = inp
        self.use_nonlinear = use_nonlinear
        self.use_context = use_context
        self.scale_factor = int(scale_factor)
        self._build(batch_norm)

    def forward(self, en: Tensor) -> tuple[Tensor, Tensor]:
        """en [N, C, r h, r w] -> idx_en and idx_de, [N, 1 or C, r h, r w]."""
        decoder = self.decoder_cells(en)
        return self._as_pixels(decoder.softmax(2)), self._as_pixels(decoder)

    def decoder_cells(self, en: Tensor) -> Tensor:
        """idx_de alone, a cell's pixels as channels: [N, 1 or C, r^2, h, w]."""
        name, r = type(self).__name__, self.scale_factor
        check_map(self, "en", en, self.inp)
        check(
            en.shape[2] % r == 0 and en.shape[3] % r == 0,
            f"{name}: en should have a height and width that {r} divides but is {list(en.shape)}",
        )
        return torch.sigmoid(self._numbers(en))

    def _as_pixels(self, cells: Tensor) -> Tensor:
        return pixel_shuffle(cells.flatten(1, 2), self.scale_factor)

    def _layers(self, hidden: int, out: int, groups: int, batch_norm: Callable[[int], nn.Module]) -> list[nn.Module]:
        """[N, C, r h, r w] -> [N, out, h, w]."""
        r = self.scale_factor
        kernel, padding = (r, 0) if not self.use_context else (2 * r, (r + 1) // 2) if r > 1 else (3, 1)
        first = hidden if self.use_nonlinear else out
        strided = nn.Conv2d(self.inp, first, kernel, r, padding, groups=groups, bias=False)
        if not self.use_nonlinear:
            return [strided]
        return [strided, batch_norm(hidden), nn.ReLU6(), nn.Conv2d(hidden, out, 1, groups=groups, bias=False)]


class HolisticIndexBlock(IndexBlock):
    """One index for all channels, made of all channels. For the rest see IndexBlock."""

    def _build(self, batch_norm: Callable[[int], nn.Module]) -> None:
        layers = self._layers(2 * self.inp, self.scale_factor**2, 1, batch_norm)
        self.indexnet = nn.Sequential(*layers) if self.use_nonlinear else layers[0]

    def _numbers(self, en: Tensor) -> Tensor:
        return self.indexnet(en).unsqueeze(1)


class _DepthwiseIndexBlock(IndexBlock):
    """An index for every channel, a network for every pixel of a cell: indexnet1, indexnet2, ..., row-major."""

    one_to_one: bool

    def _build(self, batch_norm: Callable[[int], nn.Module]) -> None:
        groups = self.inp if self.one_to_one else 1
        for name in self._networks():
            self.add_module(name, nn.Sequential(*self._layers(self.inp, self.inp, groups, batch_norm)))

    def _networks(self) -> list[str]:
        return [f"indexnet{i + 1}" for i in range(self.scale_factor**2)]

    def _numbers(self, en: Tensor) -> Tensor:
        return torch.stack([getattr(self, name)(en) for name in self._networks()], 2)


class DepthwiseO2OIndexBlock(_DepthwiseIndexBlock):
    """An index for every channel, made of that channel ("one to one"). For the rest see IndexBlock."""

    one_to_one = True


class DepthwiseM2OIndexBlock(_DepthwiseIndexBlock):
    """An index for every channel, made of all channels ("many to one"). For the rest see IndexBlock."""

    one_to_one = False


BLOCKS = {"holistic": HolisticIndexBlock, "o2o": DepthwiseO2OIndexBlock, "m2o": DepthwiseM2OIndexBlock}


class IndexNet(nn.Module):
    """Upsampling by an index of the guide: `index_unpool` of x.

    Its `block` gives the index that belongs to it for pooling too.

    Args:
        in_channels: C of the features x.
        guide_channels: of the guide; as many as in_channels but for block "holistic".
        scale_factor: integer ratio r.
        block: "holistic" (HolisticIndexBlock), "o2o" (DepthwiseO2OIndexBlock) or "m2o" (DepthwiseM2OIndexBlock).
        use_nonlinear, use_context: as IndexBlock's.
    """

    def __init__(
        self,
        in_channels: int,
        guide_channels: int,
        scale_factor: int = 2,
        block: str = "holistic",
        use_nonlinear: bool = False,
        use_context: bool = False,
    ):
        super().__init__()
        check_channels("IndexNet", in_channels=in_channels, guide_channels=guide_channels)
        check_choice("IndexNet", "block", block, BLOCKS)
        check_whole("IndexNet", "scale_factor", scale_factor, 1)
        check(
            block == "holistic" or guide_channels == in_channels,
            f"IndexNet: guide_channels should be in_channels {in_channels} for block {block!r} but is {guide_channels}",
        )
        self.in_channels = in_channels
        self.guide_channels = guide_channels
        self.scale_factor = int(scale_factor)
        self.block = BLOCKS[block](guide_channels, use_nonlinear, use_context, scale_factor=scale_factor)

    def forward(self, guide: Tensor, x: Tensor) -> Tensor:
        """guide [N, guide_channels, r h, r w], x [N, in_channels, h, w] -> [N, in_channels, r h, r w]."""
        check_map(self, "guide", guide, self.guide_channels)
        check_map(self, "x", x, self.in_channels)
        check_same_batch("IndexNet", "guide", guide, "x", x)
        check_multiple("IndexNet", "guide", guide, x, self.scale_factor)
        if not any(is_plain(self.block, kind) for kind in BLOCKS.values()):
            return index_unpool(x, self.block(guide)[1])
        cells = self.block.decoder_cells(guide)
        return _unpooled(x, cells.flatten(1, 2), self.scale_factor, cells.shape[1])


def index_pool(x: Tensor, idx_en: Tensor, scale_factor: int = 2) -> Tensor:
    """The sum over a cell's pixels of index times map.

    Args:
        x: [N, C, r h, r w].
        idx_en: [N, 1 or C, r h, r w].
        scale_factor: r.

    Returns:
        [N, C, h, w].
    """
    _check_index("index_pool", "idx_en", idx_en, x)
    check_whole("index_pool", "scale_factor", scale_factor, 1)
    r = int(scale_factor)
    check(
        list(idx_en.shape[2:]) == list(x.shape[2:]) and x.shape[2] % r == 0 and x.shape[3] % r == 0,
        f"index_pool: x should have idx_en's height and width {list(idx_en.shape[2:])}, which {r} should divide, but is "
        f"{list(x.shape)}",
    )
    return F.avg_pool2d(idx_en * x, r, divisor_override=1)


def index_unpool(x: Tensor, idx_de: Tensor) -> Tensor:
    """Every pixel is its cell times its index.

    Args:
        x: [N, C, h, w].
        idx_de: [N, 1 or C, H, W], of any size; pixel p of H belongs to cell floor(p h/H).

    Returns:
        [N, C, H, W].
    """
    _check_index("index_unpool", "idx_de", idx_de, x)
    return _unpooled(x, idx_de, 1, idx_de.shape[1])


def _unpooled(x: Tensor, index: Tensor, scale: int, groups: int) -> Tensor:
    """ops.index_unpool, of one dtype as in torch's product."""
    dtype = torch.promote_types(x.dtype, index.dtype)
    return ops.index_unpool(x.to(dtype), index.to(dtype), scale, groups)


def _check_index(function: str, argument: str, index: Tensor, x: Tensor) -> None:
    check_rank(function, "x", x)
    N, C = x.shape[:2]
    check(
        index.dim() == 4 and index.shape[0] == N and index.shape[1] in (1, C),
        f"{function}: {argument} should be [{N}, 1 or {C}, H, W] but is {list(index.shape)}",
    )
