"""`python -m upwell.train`: a segmentation model on one's own images, upsampled by an Upwell module."""

from upwell.train.checkpoint import load_model

__all__ = ["load_model"]
