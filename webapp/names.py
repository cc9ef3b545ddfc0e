"""Names that are nearly a setting's: a misspelt one would otherwise be silence, and let everybody in."""

import re
from collections.abc import Iterable
from functools import cache

# What platforms and other programs set, near as it is to a name of ours.
OF_OTHERS = frozenset(
    {
        "ALL_PROXY",
        "DATABASE_SSL",
        "FTPS_PROXY",
        "FTP_PROXY",
        "GOPROXY",
        "HTTP_PROXY",
        "LOCK_FILE",
        "LOGFILE",
        "LOG_FILE",
        "NIX_SSL_CERT_FILE",
        "NODE_PROXY",
        "PORTAL_HOME",
        "SECRET_KEY_BASE",
        "SSL_CERT_DIR",
        "TODO_FILE",
        "WSS_PROXY",
        "WS_PROXY",
    }
)
NEAR = 2  # edits


def misspelt(found: Iterable[str], ours: frozenset[str]) -> list[str]:
    """Return a problem for each name in `found` that is nearly one of ours, and is none."""
    strangers = sorted({name.upper() for name in found} - ours - OF_OTHERS)
    near = {name: _nearest(name, ours) for name in strangers}
    return [f"{name} is no setting: is {meant} meant?" for name, meant in near.items() if meant]


def _nearest(name: str, ours: frozenset[str]) -> str | None:
    close = [(distance, one) for one in ours if (distance := _distance(name, one)) <= NEAR]
    return min(close)[1] if close else None


def _distance(one: str, other: str) -> int:
    """Return how many slips lie between two names; `TRUSTED_PROXY` is one, and so are letters swapped."""
    bare, others = _bare(one), _bare(other)
    slip = sorted(bare) == sorted(others) or _edits(bare, others) <= 1
    return 1 if slip else _edits(one, other)


@cache
def _bare(name: str) -> str:
    """Return a name without what separates its words, each in the singular."""
    return "".join(re.sub("IES$", "Y", word).removesuffix("S") for word in re.split(r"[^A-Z0-9]+", name))


def _edits(one: str, other: str) -> int:
    """Return how many letters must be put in, taken out or changed (Levenshtein); 99 where it is many."""
    if abs(len(one) - len(other)) > NEAR or len(set(one) ^ set(other)) > 2 * NEAR:
        return 99  # told without counting: a pod's environment holds a thousand names
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, 1):
        above, row[0] = row[0], number
        for place, wanted in enumerate(other, 1):
            above, row[place] = (
                row[place],
                min(row[place] + 1, row[place - 1] + 1, above + (letter != wanted)),
            )
    return row[-1]
