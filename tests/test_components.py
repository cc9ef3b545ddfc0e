"""The page of all components: in the portal's own style, and with words that the sandbox knows."""

import re

from conftest import PUBLIC_URLS, ROOT, Sandbox
from reading import Page

from webapp.sandbox.faults import FAULTS


def test_the_page_of_components_shows_them_in_the_portals_own_style(sandbox: Sandbox) -> None:
    answer = sandbox.http.get(f"{sandbox.url}/sandbox/components", timeout=30)
    page = Page(answer.text)
    sheets = [link.attrs["href"].partition("/static/") for link in page.find("link", rel="stylesheet")]
    assert {home for home, _, _ in sheets} == {PUBLIC_URLS[0]}
    assert "style-src http://localhost:8000;" in answer.headers["Content-Security-Policy"]
    styled = "".join((ROOT / "static" / name).read_text(encoding="utf-8") for _, _, name in sheets)
    classes = {name for element in page.find() for name in element.attrs.get("class", "").split()}
    assert {name for name in classes if f".{name}" not in styled} == set()
    words = set(re.findall(r"%5B%5B([a-z0-9-]+)%5D%5D", answer.text))
    assert len(words) == 7
    assert words <= set(FAULTS)
