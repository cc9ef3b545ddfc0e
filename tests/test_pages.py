from typing import Any


def test_first(client: Any, page: Any, sign_in: Any, portal: Any) -> None:
    p = page(client, "/")
    assert p.h1 == "Create a scenario"
    r = sign_in(client)
    assert r.status_code == 303
    p = page(client, "/?prompt=%0A%0Ahello")
    print(p.fields)
    one = portal()
    print(one.output)
    one.stop()
    print(one.output)
