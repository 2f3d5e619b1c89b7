"""Which low-res cells an output pixel is made of: of any upsampler, by its gradient."""

import torch
from torch import Tensor, nn

from upwell.densify.similarity import check_pixel

DRAWS = 8  # of random signs; one is enough where channels do not mix


def footprint(dense: nn.Module, image: Tensor, features: Tensor, x: int, y: int, seed: int = 0) -> Tensor:
    """The weight of every low-res cell in the output at the image's pixel (x, y): [h, w].

    A cell's weight is the norm of the block of the Jacobian that leads from its channels to the pixel's, over the square root
    of C: where the output is a weighted sum of cells whose weights do not depend on the features, their absolute value. The
    norm is estimated by random signs v: E |v' J|^2 = |J|^2, exactly so where channels do not mix.

    image [1, 3, H, W], features [1, C, h, w].
    """
    H, W = image.shape[2:]
    check_pixel("footprint", x, y, (H, W))
    features = features.detach().requires_grad_()
    with torch.enable_grad():
        output = dense(image, features)
    row, column = (at * have // length for at, have, length in zip((y, x), output.shape[2:], (H, W)))
    pixel = output[0, :, row, column]
    random = torch.Generator().manual_seed(seed)
    squares = torch.zeros(features.shape[2:], dtype=torch.float64)
    for _ in range(DRAWS):
        signs = (2 * torch.randint(2, pixel.shape, generator=random) - 1).to(pixel)
        (gradient,) = torch.autograd.grad(pixel, features, signs, retain_graph=True)
        squares += gradient[0].double().square().sum(0).cpu()
    return (squares / DRAWS / len(pixel)).sqrt()
