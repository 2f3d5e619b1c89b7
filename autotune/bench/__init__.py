"""The benchmark: operators and modules beside the same things in torch, on this machine."""
