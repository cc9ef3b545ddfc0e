"""The one table: a line for each figure, with its least, middle and greatest value."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

BEGIN, END = "<!-- make bench writes from here -->", "<!-- to here -->"


@dataclass(frozen=True)
class Figure:
    """What one line tells; `values` are those of the single rounds."""

    name: str
    unit: str
    values: Sequence[float] = field(repr=False)

    @property
    def cells(self) -> tuple[str, ...]:
        low, middle, high = min(self.values), median(self.values), max(self.values)
        return (self.name, self.unit, *(_short(value) for value in (low, middle, high)))


HEADS = ("figure", "unit", "min", "median", "max")


def text(figures: Sequence[Figure]) -> str:
    """Return the table for a terminal."""
    rows = [HEADS, *(figure.cells for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def markdown(figures: Sequence[Figure], notes: Sequence[str]) -> str:
    """Return the table for a document, below what it was measured on."""
    rows = [HEADS, ("---", "---", "---:", "---:", "---:"), *(figure.cells for figure in figures)]
    lines = [*(f"- {note}" for note in notes), "", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)


def write_into(document: Path, table: str) -> None:
    """Put the table between the two marks of a document."""
    before, _, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    document.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")


def _short(value: float) -> str:
    """Three digits that matter."""
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
