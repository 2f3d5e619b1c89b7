"""ReSFU with one part removed or replaced, after Tables V to VII of arXiv 2407.02283."""

import torch
import upwell
from ablation_study.similarity import Convolution, InnerProduct, whole
from torch import Tensor, nn
from upwell import ops
from upwell.nn.gaussian import gaussian3
from upwell.nn.pcdc import Ratio

# The rows of the ablation: what each changes, and what the paper calls it.
VARIANTS = {
    "resfu": {},  # V (f), VI (c), w/ FNS
    "semantic": {"branches": "semantic"},  # V (c)
    "detail": {"branches": "detail"},  # V (e)
    "unfiltered": {"guided_filter": False},  # V (b) beside (e): the query itself is the semantic query
    "inner_product": {"similarity": "inner_product"},  # VI (a)
    "convolution": {"similarity": "convolution"},  # VI (b)
    "low_res": {"neighbours": "low_res"},  # VII, w/o FNS
}
CHOICES = {
    "branches": ("both", "semantic", "detail"),
    "guided_filter": (True, False),
    "similarity": ("pcdc", "inner_product", "convolution"),
    "neighbours": ("fns", "low_res"),
}
SIMILARITIES = {"inner_product": InnerProduct, "convolution": Convolution}


class ReSFUVariant(upwell.nn.ReSFU):
    """ReSFU, its parts exchangeable; without exchanges it is ReSFU.

    Args:
        arguments, options: ReSFU's.
        branches: which scores count, "both", "semantic" or "detail".
        guided_filter: align the semantic query with the key; False: it is the projected guidance itself.
        similarity: "pcdc", "inner_product" or "convolution".
        neighbours: of a pixel; "fns": K x K samples of the upsampled map one low-res cell apart, around the
            pixel; "low_res": the K x K low-res cells around its own, the same for all r x r pixels of a cell.
    """

    def __init__(
        self,
        *arguments,
        branches: str = "both",
        guided_filter: bool = True,
        similarity: str = "pcdc",
        neighbours: str = "fns",
        **options,
    ):
        super().__init__(*arguments, **options)
        changes = (branches, guided_filter, similarity, neighbours)
        for name, value in zip(CHOICES, changes):
            if value not in CHOICES[name]:
                raise ValueError(f"ReSFUVariant: {name} should be one of {CHOICES[name]} but is {value!r}")
        self.changed = any(value != CHOICES[name][0] for name, value in zip(CHOICES, changes))
        self.guided_filter, self.fine = guided_filter, neighbours == "fns"
        for branch in ("semantic", "detail"):
            self._exchange(f"{branch}_scores", similarity, branches in ("both", branch))
        self.k.requires_grad_(branches != "detail")  # which has no use for it

    def _exchange(self, name: str, similarity: str, used: bool) -> None:
        if not used:
            setattr(self, name, None)
        elif similarity in SIMILARITIES:
            with torch.random.fork_rng(devices=()):  # what is initialised next starts alike in every variant
                setattr(self, name, SIMILARITIES[similarity](getattr(self, name)))

    def forward(self, y: Tensor, x: Tensor) -> Tensor:
        """Guidance y [N, dim_y, r h, r w], features x [N, dim_x, h, w] -> [N, dim_x, r h, r w]."""
        return self.compose(y, x) if self.changed else super().forward(y, x)

    def compose(self, y: Tensor, x: Tensor) -> Tensor:
        """forward from parts that can be exchanged."""
        ratios = [Ratio(high, low) for high, low in zip(y.shape[2:], x.shape[2:])]
        whole(*ratios)
        q = self.q(self.norm_y(y) if self.normy else y)
        branches = []
        if self.semantic_scores is not None:
            k = self.k(self.norm_x(x) if self.normx else x)
            branches.append(self.semantic_scores(self._everywhere(k, q), self._semantic_query(q, k), *ratios))
        if self.detail_scores is not None:
            branches.append(self.detail_scores(self._detail_key(q, x), q, *ratios))
        logits = sum(branches)
        if self.fine:
            return ops.fns(x, logits, self.kernel_size)
        return ops.carafe(x, logits, self.kernel_size, border="mask")

    def _everywhere(self, low: Tensor, q: Tensor) -> Tensor:
        """A low-res key at every pixel of q: FNS interpolates it, so that the neighbours r pixels away change
        from pixel to pixel; otherwise a pixel has its cell's, and its neighbours are the cells around."""
        return (ops.bilinear if self.fine else ops.nearest)(low, q.shape[2:])

    def _semantic_query(self, q: Tensor, k: Tensor) -> Tensor:
        return self.GF(q, ops.bilinear(k, q.shape[2:])) if self.guided_filter else q

    def _detail_key(self, q: Tensor, x: Tensor) -> Tensor:
        """The blurred query; without FNS, what it is at the centre of each low-res cell, where a key is."""
        blurred = gaussian3(q)
        return blurred if self.fine else self._everywhere(ops.bilinear(blurred, x.shape[2:]), q)


def make(variant: str, name: str, in_channels: int, guide_channels: int, ratio: int, **options) -> nn.Module:
    """upwell.nn.make, where "resfu" means the variant."""
    if name != "resfu":
        return upwell.nn.make(name, in_channels, guide_channels, ratio, **options)
    return ReSFUVariant(guide_channels, in_channels, scale_factor=ratio, **options, **VARIANTS[variant])
