"""The parts of examples/ablation.py: the variants of ReSFU, their trainings, the tables and the pictures."""
