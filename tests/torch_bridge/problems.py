"""The operators and the shapes, options and memory layouts worth trying on them."""

import dataclasses

import torch
from upwell.inspect.reassembly import operators

DESCRIBED = operators()
OPERATORS = list(DESCRIBED)
# Of the operators that have one, their second tensor.
WEIGHTS = {name: each["maps"][1]["name"] for name, each in DESCRIBED.items() if len(each["maps"]) == 2}


@dataclasses.dataclass(frozen=True)
class Problem:
    """One call: value [n, channels, *low] becomes [n, channels, *high]."""

    operator: str
    low: tuple[int, int] = (4, 5)
    high: tuple[int, int] = (8, 10)
    n: int = 1
    channels: int = 3
    kernel: int = 3
    groups: int = 1
    border: str = "zero"
    mask_ratio: int | None = None

    def __str__(self) -> str:
        changed = [
            f"{field.name}={getattr(self, field.name)}"
            for field in dataclasses.fields(self)[1:]
            if getattr(self, field.name) != field.default
        ]
        return " ".join([self.operator, *changed]).replace("(", "").replace(", ", "x").replace(")", "")

    @property
    def arguments(self) -> dict:
        """What the operator takes besides tensors."""
        described = DESCRIBED[self.operator]
        taken = {
            "kernel": described["kernel"] is not None,
            "groups": described["groups"],
            "border": described["borders"],
            "mask_ratio": described["mask_ratio"],
        }
        options = {name: getattr(self, name) for name, is_taken in taken.items() if is_taken}
        return options if self.operator in WEIGHTS else options | {"size": self.high}

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (self.n, self.channels, *self.high)

    def tensors(self, dtype: torch.dtype = torch.float64, seed: int = 0) -> list[torch.Tensor]:
        """value, and logits or weight where the operator has them."""
        shapes = [(self.n, self.channels, *self.low)]
        if self.operator in WEIGHTS:
            shapes.append((self.n, self.groups * self.kernel * self.kernel, *self.high))
        return [random(shape, dtype, seed + i) for i, shape in enumerate(shapes)]

    def cotangent(self, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
        return random(self.output_shape, dtype, seed + 100)

    def run(self, where, tensors: list[torch.Tensor]) -> torch.Tensor:
        """Calls the operator of this name in upwell.ops, or in one of the references."""
        return getattr(where, self.operator)(*tensors, **self.arguments)

    def gradients(self, where, tensors: list[torch.Tensor], cotangent: torch.Tensor):
        """The output and the gradient of <output, cotangent> with respect to each tensor."""
        leaves = [tensor.detach().requires_grad_() for tensor in tensors]
        output = self.run(where, leaves)
        return output.detach(), torch.autograd.grad(output, leaves, cotangent)


def random(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> torch.Tensor:
    """Normally distributed; the same float32-representable values in every dtype."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


# One problem of every operator and option, at shapes that divide by nothing.
EVERY_OPERATOR = [
    Problem("fns", (3, 4), (6, 8), n=2),
    Problem("fns", (3, 4), (7, 5), kernel=5),
    Problem("fns", (3, 4), (7, 9), mask_ratio=2),
    Problem("carafe", (2, 3), (4, 6), n=2, channels=4, kernel=5, groups=2),
    Problem("carafe", (3, 4), (7, 9), border="mask"),
    Problem("carafe_reassembly", (2, 3), (4, 6), n=2, channels=6, groups=3),
    Problem("carafe_reassembly", (3, 4), (2, 9), kernel=5),
    Problem("bilinear", (3, 4), (6, 8), n=2),
    Problem("bilinear", (3, 4), (7, 2)),
    Problem("nearest", (3, 4), (6, 8), n=2),
    Problem("nearest", (3, 4), (7, 2)),
]
EVERY_OPERATOR += [Problem(name, (3, 4), (7, 9)) for name in OPERATORS if name not in {p.operator for p in EVERY_OPERATOR}]

# Large enough that the work is split between threads, at both a compiled ratio and the general one.
LARGE = [
    Problem("fns", (24, 25), (96, 100), n=2, channels=16),
    Problem("fns", (24, 25), (67, 70), n=2, channels=16),
    Problem("carafe", (24, 25), (48, 50), n=2, channels=16, kernel=5, groups=4),
    Problem("carafe", (24, 25), (67, 70), n=2, channels=16, kernel=5, border="mask"),
    Problem("carafe_reassembly", (24, 25), (96, 100), n=2, channels=16, kernel=5),
    Problem("carafe_reassembly", (24, 25), (67, 70), n=2, channels=16),
    Problem("bilinear", (24, 25), (96, 100), n=2, channels=16),
    Problem("bilinear", (24, 25), (67, 70), n=2, channels=16),
    Problem("nearest", (24, 25), (96, 100), n=2, channels=16),
    Problem("nearest", (24, 25), (67, 70), n=2, channels=16),
]


def channels_last(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)


def transposed(tensor: torch.Tensor) -> torch.Tensor:
    """Columns before rows in memory."""
    return tensor.mT.contiguous().mT


def sliced(tensor: torch.Tensor) -> torch.Tensor:
    """Every second element of a larger tensor, starting at the second."""
    n, c, h, w = tensor.shape
    larger = tensor.new_full((n, c + 1, h + 2, 2 * w + 3), float("nan"))
    view = larger[:, 1:, 1 : h + 1, 1 : 2 * w + 1 : 2]
    view.copy_(tensor)
    return view


def batch_inside(tensor: torch.Tensor) -> torch.Tensor:
    """Channels before samples in memory."""
    return tensor.transpose(0, 1).contiguous().transpose(0, 1)


LAYOUTS = {
    "contiguous": torch.Tensor.contiguous,
    "channels_last": channels_last,
    "transposed": transposed,
    "sliced": sliced,
    "batch_inside": batch_inside,
}
