"""ReSFU after Upwell's rewrites. An operator of Upwell reads its inputs and writes its output once.

But the scores of a PCDC block are found in two evaluations, one for the statistics of its second GroupNorm
and one for the result, so that no map of L or 128 high-res channels is stored: its inputs are read twice
and nearly all of its arithmetic is done twice. (So it is with keep_mib=0; where hidden channels are kept there is
one evaluation, and a map of 128 channels is written once and read twice.) A GroupNorm is its statistics; scale and shift go into the
next convolution's weights. What neighbouring tiles of a kernel both need is counted once.
"""

from upwell.inspect import published
from upwell.inspect.cost import Cost, convolution, copy, elementwise, total
from upwell.inspect.reassembly import Taps
from upwell.inspect.setting import Setting
from upwell.nn.pcdc import HIDDEN

EVALUATIONS = 2
GAUSSIAN = 2 * 3  # two axes: the neighbours' sum, weighted, and the centre, weighted
BILINEAR = 4  # 2 x 2 cells
CLOSED_FORM = 8  # statistics of the upsampled key, per low-res element: two bands of three, mean and variance


def shared_stages(s: Setting) -> dict[str, Cost]:
    """What comes before the scores: torch still projects, with the norms in its weights; no key is upsampled."""
    return published.shared_stages(s) | {
        "norm x": statistics(s.dim_x * s.low_pixels),
        "norm y": statistics(s.dim_y * s.pixels),
        "upsample key": Cost(),
        "gaussian": gaussian(s),
        "guided filter": guided_filter(s),
    }


def gaussian(s: Setting) -> Cost:
    """Never stored: found anew for the statistics and for each evaluation of the detail branch."""
    return Cost((1 + EVALUATIONS) * GAUSSIAN * s.query_elements)


def guided_filter(s: Setting) -> Cost:
    full, fitted = s.query_elements, s.embedding_dim * s.filter_pixels
    return Cost(filter_work(fitted, full, s.gf_scale), full + s.embedding_dim * s.low_pixels + full)


def filter_work(fitted: int, full: int, scale: int) -> int:
    """Multiply-adds of elements that are fitted and of all, every scale-th pixel of them.

    With running sums: a sum along an axis adds one value and takes one away, whatever the radius.
    """
    box_mean = 2 * 2 + 1  # two axes, then the number of pixels
    # Of I, p, I p, I I, a, b; the two products; covariance, variance, + eps, a, b.
    fit = 6 * box_mean + 2 + 5
    back = 0 if scale == 1 else 2 * BILINEAR
    return fitted * (fit + BILINEAR) + full * (back + 1)


def statistics(elements: int) -> Cost:
    """Of a GroupNorm: less a first guess of the mean, sum, sum of squares."""
    return Cost(3 * elements, elements)


def semantic(s: Setting) -> dict[str, Cost]:
    """The key is convolved at low resolution, one cell beyond the border, and then upsampled."""
    k = s.embedding_dim * s.low_pixels
    padded = s.embedding_dim * (s.low + 2 * (s.kernel // 2 + 1)) ** 2
    low = s.difference_channels * (s.low + 2) ** 2
    upsampling = Cost(BILINEAR * s.difference_channels * s.pixels)
    key = total(
        Cost(CLOSED_FORM * k, k),
        copy(k, padded),
        convolution(padded, low, s.group_channels * s.taps),
        EVALUATIONS * (upsampling + copy(low, 0)),
    )
    query = statistics(s.query_elements) + EVALUATIONS * copy(s.query_elements, 0)
    return {"convolved key": key, "query part": query + query_part(s)} | compressor(s)


def detail(s: Setting) -> dict[str, Cost]:
    """Key and query come from the same map, q, the key's statistics from a pass of their own."""
    v, q = s.difference_channels * s.pixels, s.query_elements
    products = s.group_channels * s.taps
    key = statistics(q) + EVALUATIONS * (Cost(v * products) + copy(q, 0))
    return {"convolved key": key, "query part": statistics(q) + query_part(s)} | compressor(s)


def query_part(s: Setting) -> Cost:
    return EVALUATIONS * Cost(s.difference_channels * s.pixels * s.group_channels)


def compressor(s: Setting) -> dict[str, Cost]:
    """From v to the scores; only these are written, in the second evaluation."""
    hidden, scores = HIDDEN * s.pixels, s.taps * s.pixels
    return {
        "compressor 1": EVALUATIONS * Cost(hidden * (s.difference_channels // s.groups)),
        "hidden norm": Cost(statistics(hidden).multiply_adds),
        "compressor 2": Cost(scores * HIDDEN, scores),
    }


def fns(s: Setting) -> Cost:
    """torch sums the scores; one kernel masks, takes the softmax and lowers the taps to a window."""
    scores = s.taps * s.pixels
    taps = Taps.of("fns", s.kernel)
    # Less the maximum, exponential, sum; from taps to window; divided by the sum.
    weights = 3 * s.taps + taps.lowering + taps.window
    return total(
        elementwise(scores, inputs=2), Cost(s.pixels * weights), published.reassembly(s, taps.window)
    )
