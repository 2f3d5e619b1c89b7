"""The operators as torch users write them, and as loops: what tests expect and the benchmark times."""
