"""The parts of examples/densify.py: the training of many methods at once, the scores and the picture."""
