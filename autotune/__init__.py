"""How fast: a benchmark beside torch (bench) and the search for schedules (tune)."""
