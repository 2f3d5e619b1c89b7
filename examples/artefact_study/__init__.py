"""The parts of examples/artefacts.py: the model, its training, the spectra, the table and the picture."""
