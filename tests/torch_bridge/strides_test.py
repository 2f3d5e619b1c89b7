"""What an operator says about its result before it has one, and what it then gives: compilers believe the first.

torch.library.opcheck (2.11.0) does not compare strides: an operator that promised a contiguous result and gave a
channels_last one would pass it, and fail in inductor.
"""

import pytest
import torch
import upwell
from problems import LAYOUTS, random
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from autograd_test import NO_OPERATORS, registered_operators

LAYOUT_OF = {**LAYOUTS, "expanded": lambda x: x[:, :1].expand_as(x), "flipped": lambda x: x.flip(3).flip(3).mT.mT}
def described(tensor: torch.Tensor) -> tuple:
    """Shape, dtype, and the strides that say where an element lies."""
    strides = [s for s, length in zip(tensor.stride(), tensor.shape) if length > 1] if tensor.numel() else []
    return tuple(tensor.shape), tensor.dtype, strides


class Compare(TorchDispatchMode):
    """Runs every operator of a namespace once more on tensors without data, with the strides of the real ones."""

    def __init__(self, namespace: str = "upwell"):
        super().__init__()
        self.namespace = namespace
        self.fakes = FakeTensorMode()
        self.seen: set[str] = set()
        self.apart: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function.namespace != self.namespace:
            return function(*args, **kwargs)
        with self.fakes:
            fake_args, fake_kwargs = tree_map_only(torch.Tensor, self.fakes.from_tensor, (args, kwargs))
            promised = function(*fake_args, **fake_kwargs)
        real = function(*args, **kwargs)
        name = function._schema.name.split("::")[1]
        self.seen.add(name)
        for i, (p, r) in enumerate(zip(tree_leaves(promised), tree_leaves(real), strict=True)):
            if described(p) != described(r):
                given = [described(leaf) for leaf in tree_leaves(args) if isinstance(leaf, torch.Tensor)]
                self.apart.append(f"{name}[{i}] of {given}: promised {described(p)}, is {described(r)}")
        return real


def calls(n: int, h: int, w: int) -> dict:
    """Every operator: what calls it, and the shapes of its tensors. Low-res maps are [n, 4, h, w]."""
    ops, H, W = upwell.ops, 2 * h, 2 * w
    low, high, odd = (n, 4, h, w), (n, 4, H, W), (n, 4, H + 1, W + 3)
    taps = lambda groups, H, W: (n, 9 * groups, H, W)
    block = ((4,), (4, 2, 3, 3), (4,), (4, 2), (4,), (4,), (4,), (9, 4), (9,))
    wrc = (high, high, low, low, (4, 2, 2))
    return {
        "fns": (lambda v, l: ops.fns(v, l, 3), (low, taps(1, H, W))),
        "fns at a real ratio": (lambda v, l: ops.fns(v, l, 3, 2), (low, taps(1, H + 1, W + 3))),
        "carafe": (lambda v, l: ops.carafe(v, l, 3, 2), (low, taps(2, H, W))),
        "carafe with a mask": (lambda v, l: ops.carafe(v, l, 3, 1, "mask"), (low, taps(1, H + 1, W + 3))),
        "carafe_reassembly": (lambda v, l: ops.carafe_reassembly(v, l, 3, 4), (low, taps(4, H, W))),
        "sapa_attention": (lambda v, q, k: ops.sapa_attention(v, q, k, 3), (low, odd, low)),
        "cross_attention": (lambda q, k, v: ops.cross_attention(q, k, v, 2, "shifted", 3), (odd, low, low)),
        "cross_attention, a mean": (lambda q, k, v: ops.cross_attention(q, k, v, 2, "whole", mean_heads=True), (high, low, low)),
        "adaptive_conv": (lambda v, f: ops.adaptive_conv(v, f, 3), (odd, taps(1, H + 1, W + 3))),
        "range_weights": (lambda q, k, s: ops.range_weights(q, k, s, 3), (odd, odd, (9,))),
        "index_unpool": (lambda v, i: ops.index_unpool(v, i, 1, 2), (low, (n, 2, H + 1, W + 3))),
        "index_unpool by a scale": (lambda v, i: ops.index_unpool(v, i, 2), (low, (n, 4, h, w))),
        "local_attention": (ops.local_attention, (low, taps(1, H, W))),
        "sample_at_offsets": (lambda v, o: ops.sample_at_offsets(v, o, 2, 2), (low, (n, 16, h, w))),
        "sample_at_offsets, high-res": (lambda v, o: ops.sample_at_offsets(v, o, 2, 4, True), (low, (n, 8, H, W))),
        "bilinear": (lambda v: ops.bilinear(v, (H, W)), (low,)),
        "bilinear by a scale": (lambda v: ops.bilinear(v, scale_factor=1.6), (low,)),
        "bicubic": (lambda v: ops.bicubic(v, (H + 1, W)), (low,)),
        "nearest": (lambda v: ops.nearest(v, (H + 1, W + 3)), (low,)),
        "fold_group_norm": (ops.fold_group_norm, ((5, 4), (5,), (4,), (4,), (n, 2), (n, 2))),
        "group_stats": (lambda x: ops.group_stats(x, 2), (low,)),
        "group_stats of a blurred map": (lambda x: ops.group_stats(x, 2, blur=True), (low,)),
        "upsampled_group_stats": (lambda x: ops.group_stats(x, 2, size=(H, W + 1)), (low,)),
        "guided_filter": (lambda g, x: ops.guided_filter(g, x, 2, 1e-2, 2), (odd, low)),
        "colour_guided_filter": (lambda g, x: ops.colour_guided_filter(g, x, 2, 1e-2, 2), ((n, 3, H + 1, W + 3), low)),
        "pcdc": (lambda k, q, f, b: ops.pcdc(k, q, f, b, 2, (2, 1)), (high, high, (6, 2, 3, 3), (6,))),
        "pcdc_scores of a map": (lambda *a: ops.pcdc_scores(*a, 2, 2, [5, 2, 2, 1], blur=True), (high, high, *block)),
        "pcdc_scores of a low-res key": (lambda *a: ops.pcdc_scores(*a, 2, 2), (low, high, *block)),
        "wrc_data": (ops.wrc_data, (low, low)),
        "wrc_prior": (lambda x, m, p: ops.wrc_prior(x, m, p, 2), (low, (n, 36, h, w), (4,))),
        "wrc_exact": (lambda *a: ops.wrc_exact(a[0].abs() + 1, a[1], a[2].abs(), *a[3:], 2, 0.0, 2), wrc),
        "wrc_spectral": (lambda *a: ops.wrc_spectral(a[0].abs() + 1, a[1], a[2].abs(), *a[3:], 2), wrc),
        "merge_kernels": (ops.merge_kernels, ((4, 2, 5, 7), (4, 2, 3, 1))),
        "transposed_conv": (lambda x, f, b: ops.transposed_conv(x, f, b, 2, 1, 0, 2), (low, (4, 3, 4, 3), (6,))),
    }


def run_all(sizes, dtype: torch.dtype, layout: str) -> Compare:
    """Every operator below autograd, forward and backward, its maps and gradients in this layout."""
    lay = lambda t: LAYOUT_OF[layout](t) if t.dim() == 4 else t
    with Compare() as compare:
        for name, (call, shapes) in calls(*sizes).items():
            leaves = [lay(random(shape, dtype, i)).requires_grad_() for i, shape in enumerate(shapes)]
            with torch._C._AutoDispatchBelowAutograd():  # an operator's own kernel where autograd calls another one
                call(*leaves)
            outputs = call(*leaves)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            cotangents = [lay(random(tuple(output.shape), output.dtype, 9)) for output in outputs]
            torch.autograd.grad(outputs, leaves, cotangents, materialize_grads=True)
    return compare


@pytest.mark.parametrize("layout", LAYOUT_OF)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_every_operator_gives_the_shapes_dtypes_and_strides_that_it_promised(dtype, layout):
    for sizes in ((2, 3, 4), (1, 1, 1), (3, 1, 5), (0, 3, 4)):
        apart = run_all(sizes, dtype, layout).apart
        assert not apart, "\n".join(apart)


def test_no_operator_is_left_out():
    assert run_all((2, 3, 4), torch.float32, "contiguous").seen == set(registered_operators()) - NO_OPERATORS


def test_a_promise_that_is_not_kept_is_noticed():
    @torch.library.custom_op("upwell_test::turned", mutates_args=())
    def turned(x: torch.Tensor) -> torch.Tensor:
        return x.clone(memory_format=torch.channels_last)

    turned.register_fake(lambda x: x.new_empty(x.shape))
    with Compare("upwell_test") as compare:
        turned(torch.zeros(2, 3, 4, 5))
    assert len(compare.apart) == 1 and "turned[0]" in compare.apart[0]
