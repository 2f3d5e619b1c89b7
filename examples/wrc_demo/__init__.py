"""The parts of examples/wrc.py: the degradation, the methods, their training, the scores and the pictures."""
