"""Static files: what is sent, in which coding, and how long it may be kept."""

import gzip
from collections.abc import Callable
from pathlib import Path

import brotli
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from webapp import ROOT
from webapp.static_files import without_comments

SHEET = "/static/portal.css"
SOURCES = sorted((ROOT / "static").glob("*.[cj]s*"))
CONTENT = without_comments((ROOT / "static" / "portal.css").read_text(encoding="utf-8")).encode()
FOR_GOOD = "public, max-age=31536000, immutable"


def own_address(client: FlaskClient, name: str = "portal.css") -> str:
    with client.application.test_request_context():
        return client.application.url_for("static", filename=name)


def get(client: FlaskClient, accepted: str, **headers: str) -> TestResponse:
    return client.get(SHEET, headers={"Accept-Encoding": accepted, **headers})


@pytest.mark.parametrize(
    ("accepted", "coding", "unpack"),
    [
        ("gzip, deflate, br, zstd", "br", brotli.decompress),
        ("gzip, deflate", "gzip", gzip.decompress),
        ("*", "br", brotli.decompress),
        ("br;q=0.1, gzip", "gzip", gzip.decompress),
        ("br;q=0, gzip;q=0", None, bytes),
        ("identity", None, bytes),
        ("zstd", None, bytes),
        ("", None, bytes),
    ],
)
def test_the_best_coding_that_is_accepted_is_sent(
    client: FlaskClient, accepted: str, coding: str | None, unpack: Callable[[bytes], bytes]
) -> None:
    answer = get(client, accepted)
    assert answer.headers.get("Content-Encoding") == coding
    assert unpack(answer.data) == CONTENT
    assert answer.content_length == len(answer.data)
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.mimetype == "text/css"


def test_compressed_is_a_third(client: FlaskClient) -> None:
    assert len(get(client, "br").data) < len(CONTENT) / 3


def test_comments_and_indentation_are_for_those_who_read_the_source() -> None:
    source = '/* One. */\n\n.a {\n  color: red; /* kept */\n}\n// Two.\n  const a = "http://it"; // gone\n'
    sent = '.a {\ncolor: red; /* kept */\n}\nconst a = "http://it";\n'
    assert without_comments(source) == sent


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_nothing_but_comments_is_left_out(path: Path) -> None:
    whole = path.read_text(encoding="utf-8").splitlines()
    before = [line.partition(" // ")[0] for line in whole]
    assert [line for line in before if any(line.count(quote) % 2 for quote in '`"')] == []
    assert [line for line in without_comments("\n".join(whole)).splitlines() if "/*" in line] == []


def test_what_is_there_already_is_not_sent_again(client: FlaskClient) -> None:
    first = get(client, "br")
    again = get(client, "br", **{"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert get(client, "gzip", **{"If-None-Match": first.headers["ETag"]}).status_code == 200


def test_a_head_tells_the_length(client: FlaskClient) -> None:
    answer = client.head(SHEET, headers={"Accept-Encoding": "br"})
    assert answer.content_length == len(get(client, "br").data)
    assert answer.data == b""


def test_its_own_version_is_kept_for_good(client: FlaskClient) -> None:
    address = own_address(client)
    assert client.get(address).headers["Cache-Control"] == FOR_GOOD
    etag = client.get(address).headers["ETag"]
    again = client.get(address, headers={"If-None-Match": etag})
    assert (again.status_code, again.headers["Cache-Control"]) == (304, FOR_GOOD)


@pytest.mark.parametrize("query", ["", "?v=", "?v=0123456789ab", "?v=../x"])
def test_another_releases_version_is_asked_for_again(client: FlaskClient, query: str) -> None:
    answer = client.get(f"{SHEET}{query}")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-cache")


@pytest.mark.parametrize("name", ["nothing.css", "../wsgi.py", "..%2fwsgi.py", "portal.css/", ""])
def test_what_is_not_there_is_not_kept(client: FlaskClient, name: str) -> None:
    answer = client.get(f"/static/{name}?v=0123456789ab")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (404, "no-store")


def test_a_refused_method_is_not_kept(client: FlaskClient) -> None:
    answer = client.delete(own_address(client))
    assert (answer.status_code, answer.headers["Cache-Control"]) == (405, "no-store")


def test_any_page_may_use_a_static_file(client: FlaskClient) -> None:
    assert get(client, "br").headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    missing = client.get("/static/nothing.css")
    assert missing.headers["Cross-Origin-Resource-Policy"] == "same-origin"
