"""People at work, in a process of its own: reads what to do as JSON, writes what it took as JSON.

A *visit* is: open the form, type, press the button; it must lead to the studio at once.
"""

import asyncio
import html
import json
import re
import ssl
import sys
import time
from typing import Any
from urllib.parse import urlencode

from .client import Answer, Connection

HIDDEN = re.compile(r'<input[^>]*type="hidden"[^>]*>')
ATTRIBUTE = re.compile(r'([a-z-]+)="([^"]*)"')
TEXT = """{slow}Who meets: I, from sales, with the IT director of a company that plans in spreadsheets.
Goal: find out what the present way costs them, and who decides. Number {number}."""
FORM = "application/x-www-form-urlencoded"


class People:
    """`together` people at once, each with a kept connection, who take turns as `cookies` says."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.port: int = told["port"]
        self.cookies: list[dict[str, str]] = told["cookies"]
        self.slow = f"[[after {told['slow']} s]] " if told["slow"] else ""
        self.lists: bool = told.get("lists", False)  # whether everybody looks at their own list as well
        self.form: list[float] = []
        self.list: list[float] = []
        self.create: list[float] = []
        self.errors: list[str] = []

    async def visit(self, together: int, times: int) -> None:
        """Let so many people make so many visits each."""
        await asyncio.gather(*(self._visits(start, together, times) for start in range(together)))

    async def _visits(self, start: int, together: int, times: int) -> None:
        async with Connection(self.port) as connection:
            for number in range(times):
                connection.cookies = dict(self.cookies[(start + number * together) % len(self.cookies)])
                await self._press(connection, await self._open(connection))
                if self.lists:
                    self.list.append((await connection.request("GET", "/launches")).seconds)

    async def burst(self) -> None:
        """Let everybody open the form, a few at a time, and then press at once.

        On a new connection: nobody types as fast as a kept one is dropped.
        """
        few = asyncio.Semaphore(16)
        arrived = await asyncio.gather(*(self._arrive(few, cookies) for cookies in self.cookies))
        await asyncio.gather(*(self._leave(cookies, fields) for cookies, fields in arrived))

    async def _arrive(
        self, few: asyncio.Semaphore, cookies: dict[str, str]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Return what the browser keeps: its cookies and the form's fields."""
        async with few, Connection(self.port, cookies=cookies) as connection:
            fields = await self._open(connection)
            return connection.cookies, fields

    async def _leave(self, cookies: dict[str, str], fields: dict[str, str]) -> None:
        try:
            async with Connection(self.port, cookies=cookies) as connection:
                await self._press(connection, fields)
        except OSError as error:
            self.errors.append(type(error).__name__)

    async def _open(self, connection: Connection) -> dict[str, str]:
        answer = await connection.request("GET", "/")
        if answer.status != 200:
            raise SystemExit(f"the form: {answer.status}")
        self.form.append(answer.seconds)
        return hidden_fields(answer.body.decode())

    async def _press(self, connection: Connection, fields: dict[str, str]) -> None:
        text = TEXT.format(slow=self.slow, number=time.time_ns())
        body = urlencode({**fields, "prompt": text}).encode()
        try:
            answer = await asyncio.wait_for(
                connection.request("POST", "/launches", body, Content_Type=FORM), timeout=60
            )
        except (OSError, EOFError) as error:
            self.errors.append(type(error).__name__)
            return
        if is_at_the_studio(answer):
            self.create.append(answer.seconds)
        else:
            self.errors.append(f"{answer.status} {answer.location}")


def hidden_fields(page: str) -> dict[str, str]:
    """Return what the form brings along by itself."""
    fields = (dict(ATTRIBUTE.findall(tag)) for tag in HIDDEN.findall(page))
    return {field["name"]: html.unescape(field.get("value", "")) for field in fields}


def is_at_the_studio(answer: Answer) -> bool:
    return answer.status == 303 and "/chat/" in answer.location


async def call_directly(told: dict[str, Any]) -> list[float]:
    """Call the API on one warm connection: the floor of every creation."""
    tls = ssl.create_default_context(cafile=told["authority"])
    body = json.dumps({"user_email": "p1@acme.example", "prompt": TEXT, "request_id": "direct"}).encode()
    async with Connection(told["port"], tls) as connection:
        await connection.request("POST", "/rest/v1/scenario-studio", body)
        answers = [
            await connection.request("POST", "/rest/v1/scenario-studio", body) for _ in range(told["times"])
        ]
    return [answer.seconds for answer in answers]


async def main(told: dict[str, Any]) -> dict[str, Any]:
    """Do what was told; `busy` is the share of one core that this process took."""
    if told["what"] == "direct":
        return {"create": await call_directly(told)}
    people = People(told)
    began = time.perf_counter(), time.process_time()
    if told["what"] == "burst":
        await people.burst()
    else:
        await people.visit(told["together"], told["times"])
    busy = (time.process_time() - began[1]) / (time.perf_counter() - began[0])
    return {
        "form": people.form,
        "create": people.create,
        "list": people.list,
        "errors": people.errors,
        "busy": busy,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(json.load(sys.stdin)))))
