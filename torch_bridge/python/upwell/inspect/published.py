"""ReSFU as its authors published it: every torch operation of their forward pass, and their FNS in CUDA.

A nearest upsampling of x whose result nothing uses is left out.
"""

from upwell.inspect.cost import Cost, bilinear, convolution, copy, elementwise, group_norm, total
from upwell.inspect.reassembly import Taps
from upwell.inspect.setting import Setting
from upwell.nn.pcdc import HIDDEN


def shared_stages(s: Setting) -> dict[str, Cost]:
    """What comes before the scores."""
    x, y, D = s.dim_x * s.low_pixels, s.dim_y * s.pixels, s.embedding_dim
    k, q = D * s.low_pixels, s.query_elements
    return {
        "norm x": group_norm(x),
        "norm y": group_norm(y),
        "projections q, k": convolution(y, q, s.dim_y) + convolution(x, k, s.dim_x),
        "upsample key": bilinear(k, q),
        "gaussian": gaussian(s),
        "guided filter": guided_filter(s),
    }


def gaussian(s: Setting) -> Cost:
    padded = s.embedding_dim * (s.high + 2) ** 2
    return copy(s.query_elements, padded) + convolution(padded, s.query_elements, 9)


def guided_filter(s: Setting) -> Cost:
    full, fitted = s.query_elements, s.embedding_dim * s.filter_pixels
    # One box sum is two convolutions; N, I, p, I p, I I, a, b have one each. Between them 6 divisions by N, 7
    # other operations on two maps and 3 on one.
    fit = total(
        copy(0, fitted),
        14 * convolution(fitted, fitted, 2 * (s.radius // s.gf_scale) + 1),
        13 * elementwise(fitted, inputs=2),
        3 * elementwise(fitted),
    )
    apply = 2 * elementwise(full, inputs=2)
    if s.gf_scale == 1:
        return fit + apply
    # The guide is copied, guide and input are subsampled, a and b come back.
    return total(copy(full, full), 2 * copy(fitted, fitted), fit, 2 * bilinear(fitted, full), apply)


def pcdc(s: Setting) -> dict[str, Cost]:
    """A PCDC block; both branches run the same at high resolution."""
    q, v, hidden = s.query_elements, s.difference_channels * s.pixels, HIDDEN * s.pixels
    padded = s.embedding_dim * (s.high + 2 * (s.ratio * (s.kernel - 1) // 2)) ** 2
    relu = elementwise(v, work=0) if s.layout == "published" else Cost()
    return {
        "convolved key": total(
            group_norm(q), copy(q, padded), convolution(padded, v, s.group_channels * s.taps)
        ),
        "query part": total(
            group_norm(q), convolution(q, v, s.group_channels), elementwise(v, inputs=2), elementwise(v)
        ),
        "compressor 1": total(
            relu, convolution(v, hidden, s.difference_channels // s.groups), elementwise(hidden, work=0)
        ),
        "hidden norm": group_norm(hidden),
        "compressor 2": convolution(hidden, s.taps * s.pixels, HIDDEN),
    }


def fns(s: Setting) -> Cost:
    """Sum of the scores, mask, softmax, and the kernel."""
    scores = s.taps * s.pixels
    padded = (s.high + 2 * (s.ratio * (s.kernel - 1) // 2)) ** 2
    mask = total(copy(0, s.pixels), copy(s.pixels, padded), copy(padded, scores))
    taps = Taps.of("fns", s.kernel)
    return total(
        elementwise(scores, inputs=2),
        mask,
        elementwise(scores, inputs=2),
        elementwise(scores, work=4),  # less the maximum, exponential, sum, divided by it
        reassembly(s, taps.as_written),
    )


def reassembly(s: Setting, products: int) -> Cost:
    """A kernel that reads logits or weights and x, and writes the output."""
    moved = s.taps * s.pixels + s.dim_x * s.low_pixels + s.output_elements
    return Cost(products * s.output_elements, moved)
