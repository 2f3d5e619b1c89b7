"""What can be tuned in a kernel: its knobs, and which of their values go together."""

import random
from collections.abc import Mapping


class Space:
    """The legal values of a kernel's knobs, as its schedule declares them."""

    def __init__(self, declared: dict):
        self.declared = declared
        self.names: list[str] = [knob["name"] for knob in declared["knobs"]]
        self.values: dict[str, list[int]] = {knob["name"]: knob["values"] for knob in declared["knobs"]}
        self.hand: dict[str, int] = {knob["name"]: knob["hand"] for knob in declared["knobs"]}
        self.legal: set[tuple[int, ...]] = {tuple(point) for point in declared["legal"]}

    def parameters(self, point: tuple[int, ...]) -> dict[str, int]:
        """The knobs' values at a point (the index of each one's value)."""
        return {name: self.values[name][index] for name, index in zip(self.names, point)}

    def indices(self, parameters: Mapping[str, int]) -> dict[str, int]:
        """The other way round."""
        return {name: self.values[name].index(parameters[name]) for name in self.names}

    def nearest(self, point: tuple[int, ...], known: set[tuple[int, ...]], chance: random.Random) -> tuple[int, ...]:
        """The legal point next to this one that is not among the known; there is one. Chance decides among equals."""
        steps = [max(1, len(self.values[name]) - 1) for name in self.names]

        def distance(other: tuple[int, ...]) -> float:
            return sum(abs(a - b) / step for a, b, step in zip(point, other, steps))

        distances = {other: distance(other) for other in self.legal if other not in known}
        least = min(distances.values())
        return chance.choice(sorted(other for other, found in distances.items() if found <= least + 1e-9))
