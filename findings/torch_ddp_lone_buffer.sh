#!/bin/bash
# torch 2.11.0, DistributedDataParallel (gloo) of a module whose only buffer is [1, K, 1, 1] and was converted with
# module.to(memory_format=torch.channels_last), as DySample's init_pos: the first forward pass broadcasts the buffers, and
# raises a RuntimeError about memory that is written and read at once. With a second buffer beside it, or without the
# conversion, which changes no element, the same module runs: buffers are flattened into one tensor to be sent, and a lone
# one is not copied for that, so that it is then copied onto itself, in other strides.
# Seen: contiguous: runs; channels_last: RuntimeError; channels_last with a second buffer: runs.
# Exits non-zero if that changes.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/pip" install -q --disable-pip-version-check torch==2.11.0 numpy
"$folder/bin/python" - "$folder" <<'PYTHON'
import os
import sys

import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def works(layout, buffers):
    module = nn.Conv2d(3, 3, 1)
    for i in range(buffers):
        module.register_buffer(f"buffer{i}", torch.zeros(1, 8, 1, 1))
    try:
        DistributedDataParallel(module.to(memory_format=layout))(torch.zeros(1, 3, 4, 4))
    except RuntimeError as error:
        assert "single memory location" in str(error), error
        return False
    return True


def run(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    seen = [works(torch.contiguous_format, 1), works(torch.channels_last, 1), works(torch.channels_last, 2)]
    if rank == 0:
        print(dict(zip(("contiguous", "channels_last", "channels_last, two buffers"), seen)), flush=True)
    assert seen == [True, False, True], seen
    os._exit(0)  # what failed half-way is not waited for


if os.fork() == 0:
    run(1, sys.argv[1])
run(0, sys.argv[1])
PYTHON
