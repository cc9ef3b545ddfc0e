"""What a browser fetches to show a page, as it is sent: a page names files, a script names others."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urljoin

from reading import Page

from .client import Answer, Connection

LINKED = frozenset({"stylesheet", "icon", "modulepreload", "preload"})
IMPORTED = re.compile(r"""(?m)^import\b[^"']*["']([^"']+)["']""")


@dataclass(frozen=True)
class Weight:
    """`size`: bytes of all answers with their heads; `steps`: how often one names others to be fetched."""

    requests: int
    size: int
    steps: int


async def weigh(port: int, cookies: dict[str, str], coding: str, *, writing: bool) -> Weight:
    """Fetch the form page and what it needs in this content coding; `writing`: what typing brings as well."""
    fetched: dict[str, Answer] = {}
    level, steps = ["/"], -1
    async with Connection(port, cookies=cookies) as connection:
        while level:
            steps += 1
            for path in level:
                fetched[path] = await connection.request("GET", path, Accept_Encoding=coding)
                assert fetched[path].status == 200, path
            named = [path for one in level for path in await _named(connection, one, writing=writing)]
            level = [path for path in dict.fromkeys(named) if path not in fetched]
    return Weight(len(fetched), sum(answer.size for answer in fetched.values()), steps)


async def _named(connection: Connection, path: str, *, writing: bool) -> list[str]:
    """Return what a page or a script makes the browser fetch at once."""
    plain = (await connection.request("GET", path, Accept_Encoding="identity")).body.decode()
    if path == "/":
        return [urljoin(path, name) for name in _of_page(plain, writing=writing)]
    return [urljoin(path, name) for name in IMPORTED.findall(plain)] if ".js" in path else []


def _of_page(html: str, *, writing: bool) -> Iterator[str]:
    page = Page(html)
    for area in page.find():
        if writing and "data-writing" in area.attrs:
            yield area.attrs["data-writing"]
    for tag in page.find("link"):
        if LINKED & set(tag.attrs.get("rel", "").split()):
            yield tag.attrs["href"]
    for tag in (*page.find("script"), *page.find("img")):
        if tag.attrs.get("src"):
            yield tag.attrs["src"]
