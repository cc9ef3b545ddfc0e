"""How much is measured: hours would be exact, a minute says where one is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    rounds: int  # each server once in a round, in turn
    steps: int  # visits of one person alone, in a round
    visits: int  # visits of each of eight people at once, in a round
    bursts: int
    crowd: int  # who presses at once
    slow: float  # seconds that the API takes then
    starts: int  # beside the first
    sign_ins: int
    few: int  # launches in the small database
    many: int  # launches in the large one


FULL = Size(9, 40, 50, 3, 1000, 2, 6, 20, 1_000, 1_000_000)
QUICK = Size(3, 15, 12, 1, 200, 1, 1, 6, 1_000, 20_000)
LEAST = Size(1, 3, 3, 1, 20, 0.2, 0, 2, 200, 400)  # for the test: that it runs
