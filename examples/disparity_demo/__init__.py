"""The parts of examples/disparity.py: the scene, the model, its training, the scores and the pictures."""
