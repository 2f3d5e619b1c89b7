"""Dense features as files, one for each image, each whole or not there."""

import io
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from upwell.densify.densifier import Densifier
from upwell.densify.images import Folder
from upwell.train import interrupt
from upwell.train.checkpoint import write_whole
from upwell.train.distributed import Group

FORMATS = ("npy", "pt")
KINDS = {"float32": torch.float32, "float16": torch.float16}


@torch.no_grad()
def write(densifier: Densifier, images: Folder, folder: Path, format: str, kind: str, group: Group) -> None:
    """folder/NAME.npy or .pt: [C, ratio h, ratio w] of each image; every process writes its share."""
    densifier.eval()
    share = range(group.rank, len(images), group.size)
    for index in tqdm(share, "writing features", disable=not group.first, leave=False):
        interrupt.check()
        name, image = images[index]
        features = densifier(image[None].to(group.device))[0].to("cpu", KINDS[kind])
        write_whole(folder / f"{name}.{format}", encode(features, format))


def encode(features: Tensor, format: str) -> bytes:
    buffer = io.BytesIO()
    if format == "pt":
        torch.save(features.clone(), buffer)
    else:
        np.save(buffer, features.numpy())
    return buffer.getvalue()
