"""Schedule autotuning: search the knobs of a kernel, measure, keep what is faster (docs/tuning.md)."""
