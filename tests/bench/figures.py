"""The figures: how each is measured. The servers take turns, so that what disturbs one disturbs all."""

import asyncio
import math
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from statistics import median
from urllib.parse import urlencode

from webapp.store.migration import migrate

from . import page
from .client import Connection
from .fill import fill
from .load import FORM, hidden_fields, is_at_the_studio
from .machine import fsync_seconds
from .rig import PROVIDER_ROUND_TRIP, Rig, Server
from .signing_in import sign_in
from .sizes import Size
from .statements import counting
from .table import Figure

BARE, KINDS = "bare", ("SQLite", "PostgreSQL")
TOGETHER = 8
Values = defaultdict[str, list[float]]


def measure(rig: Rig, size: Size) -> list[Figure]:
    """Measure everything; return the table's lines in order."""
    with ExitStack() as stack:
        urls = {
            "SQLite": f"sqlite:///{rig.directory / 'portal.sqlite'}",
            "PostgreSQL": stack.enter_context(rig.postgresql.database()),
        }
        ports = {kind: next(rig.ports) for kind in KINDS}
        figures = []
        with ExitStack() as running:
            servers = [running.enter_context(rig.bare())]
            for kind in KINDS:
                migrate(urls[kind])
                portal = running.enter_context(rig.portal(kind, ports[kind], urls[kind]))
                with rig.store(urls[kind]) as store:
                    portal.sign_in(store, rig.sandbox.issuer, size.crowd)
                servers.append(portal)
            _tell("one at a time, and eight at once")
            figures += at_work(rig, size, servers)
            _tell(f"{size.crowd:,} at once")
            figures += bursts(rig, size, servers)
            _tell("sign-in, page, statements")
            figures += callback(rig, size, servers[1])
            figures += form_page(servers[1])
            figures += statements(rig, servers[2])
            began = {server.name: [server.seconds] for server in servers}
        _tell("starts")
        figures += starts(rig, size, ports, urls, began)
    _tell(f"{size.few:,} and {size.many:,} launches")
    return figures + growth(rig, size, list(ports.values()))


def in_turn(servers: Sequence[Server], rounds: int) -> Iterator[Server]:
    """Yield each server once a round; every other round backwards."""
    for number in range(rounds):
        yield from servers if number % 2 == 0 else reversed(servers)


def at_work(rig: Rig, size: Size, servers: Sequence[Server]) -> list[Figure]:
    """One person alone, eight at once, and what both leave in memory."""
    cpu, cpu_of_eight, late, kept, step = (defaultdict(list) for _ in range(5))
    direct: list[float] = []
    fsync: list[float] = []
    for server in servers:  # connections and caches are there before anything counts
        rig.load(server, 4 * TOGETHER, what="visit", together=TOGETHER, times=4)
    for number, server in enumerate(in_turn(servers, size.rounds)):
        if number % len(servers) == 0:
            direct.append(1000 * median(rig.call_directly(size.steps)))
            fsync.append(1000 * median(fsync_seconds(rig.directory, size.steps)))
        alone, seconds = _visits(rig, server, 1, size.steps)
        step[server.name].append(1000 * median(alone["create"]))
        cpu[server.name].append(1000 * seconds)
        eight, seconds = _visits(rig, server, TOGETHER, size.visits)
        cpu_of_eight[server.name].append(1000 * seconds)
        late[server.name].append(1000 * percentile(eight["create"], 99))
        kept[server.name].append(server.memory() / 2**20)
    return [
        *_ratios("CPU per visit and creation", cpu, "ms"),
        *_ratios("CPU per visit and creation, 8 people at once", cpu_of_eight, "ms"),
        Figure("create step: a direct call on a warm connection", "ms", direct),
        Figure("create step: one fsync of this disk", "ms", fsync),
        *_added(step, direct, fsync),
        *_ratios("99th percentile of the create step, 8 people at once", late, "ms"),
        *_ratios("memory after that load", kept, "MiB"),
    ]


def _visits(rig: Rig, server: Server, together: int, times: int) -> tuple[dict[str, list[float]], float]:
    """Let people visit; return what they met, and the server's CPU seconds for each visit."""
    before, count = server.cpu(), together * times
    met = rig.load(server, count, what="visit", together=together, times=times)
    return met, (server.cpu() - before) / count


def _added(step: Values, direct: list[float], fsync: list[float]) -> list[Figure]:
    """What each adds to a direct call; of a portal's, what is neither the bare handler's nor the disk's."""
    added = {name: _less(values, direct) for name, values in step.items()}
    left = {
        "SQLite less bare and one fsync": _less(_less(added["SQLite"], added[BARE]), fsync),
        "PostgreSQL less bare": _less(added["PostgreSQL"], added[BARE]),
    }
    return [Figure(f"added to the create step, {name}", "ms", v) for name, v in (added | left).items()]


def bursts(rig: Rig, size: Size, servers: Sequence[Server]) -> list[Figure]:
    """Many people hold the form and press at the same moment, and the API is slow."""
    errors, late, kept = (defaultdict(list) for _ in range(3))
    for server in in_turn(servers, size.bursts):
        met = rig.burst(server, size.crowd, size.slow)
        assert met["create"], f"{server.name}: {met['errors'][:3]}, see {server.log}"
        errors[server.name].append(len(met["errors"]))
        for error, count in Counter(met["errors"]).most_common(3):
            _tell(f"  {server.name}: {count} × {error}")
        late[server.name].append(percentile(met["create"], 99))
        kept[server.name].append(server.memory() / 2**20)
    what = f"{size.crowd:,} at once, API {size.slow} s"
    return [
        *(Figure(f"{what}: errors, {name}", "people", values) for name, values in errors.items()),
        *_ratios(f"{what}: 99th percentile", late, "s"),
        *_ratios(f"{what}: memory", kept, "MiB"),
    ]


def callback(rig: Rig, size: Size, portal: Server) -> list[Figure]:
    """The last step of a sign-in, with a provider far away; the first ones fetch its metadata and keys."""
    for number in range(16):  # both processes learn them, most likely
        sign_in(rig, portal, f"p{number}")
    done = [sign_in(rig, portal, f"p{number}") for number in range(size.sign_ins)]
    trips = [float(one.trips) for one in done]
    times = [one.seconds / PROVIDER_ROUND_TRIP for one in done]
    return [
        Figure("sign-in callback: round trips to the provider", "counted", trips),
        Figure("sign-in callback: time, in round trips of 20 ms", "round trips", times),
    ]


def form_page(portal: Server) -> list[Figure]:
    """What the form page weighs at the first visit, for somebody signed in."""

    def weigh(coding: str, *, writing: bool = False) -> page.Weight:
        return asyncio.run(page.weigh(portal.port, portal.people[0], coding, writing=writing))

    shown, gzipped, written_in = weigh("br"), weigh("gzip"), weigh("br", writing=True)
    return [
        Figure("form page, signed in: requests", "counted", [shown.requests]),
        Figure("form page, signed in: steps after the HTML", "counted", [shown.steps]),
        Figure("form page, signed in: on the wire, brotli", "kB", [shown.size / 1000]),
        Figure("form page, signed in: on the wire, gzip", "kB", [gzipped.size / 1000]),
        Figure("form page, signed in: with what typing brings, brotli", "kB", [written_in.size / 1000]),
    ]


def statements(rig: Rig, portal: Server) -> list[Figure]:
    """How often PostgreSQL is asked for one request, once connections and caches are there."""
    with counting(rig.postgresql) as asked:
        counted = asyncio.run(_asked_by_route(portal, asked))
        for number in range(len(counted["form"])):
            asked()
            sign_in(rig, portal, f"p{number}")
            counted["sign-in callback"].append(asked())
    return [Figure(f"statements: {route}", "counted", values) for route, values in counted.items()]


async def _asked_by_route(portal: Server, asked: Callable[[], int]) -> Values:
    counted: Values = defaultdict(list)
    async with Connection(portal.port) as connection:
        for number in range(5):
            connection.cookies = portal.next(1)[0]
            asked()
            form = await connection.request("GET", "/")
            counted["form"].append(asked())
            fields = {**hidden_fields(form.body.decode()), "prompt": f"What PostgreSQL is asked, {number}"}
            made = await connection.request(
                "POST", "/launches", urlencode(fields).encode(), Content_Type=FORM
            )
            assert is_at_the_studio(made), made.head
            counted["create"].append(asked())
            listed = await connection.request("GET", "/launches")
            counted["list"].append(asked())
            launch = re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", listed.body.decode())
            assert launch, listed.head
            await connection.request("GET", f"/launches/{launch[0]}")
            counted["one launch"].append(asked())
    return counted


def starts(
    rig: Rig, size: Size, ports: dict[str, int], urls: dict[str, str], taken: dict[str, list[float]]
) -> list[Figure]:
    """From the command to the first page, on a database that is up to date; `taken`: what is known."""
    for _ in range(size.starts):
        with rig.bare() as server:
            taken[BARE].append(server.seconds)
        for kind in KINDS:
            with rig.portal(kind, ports[kind], urls[kind]) as server:
                taken[kind].append(server.seconds)
    return _ratios("start to the first answer", taken, "s")


def growth(rig: Rig, size: Size, ports: list[int]) -> list[Figure]:
    """The same requests on a database with few launches and on one with many; limits on, but out of reach."""
    limits = {"EXEC_CREATIONS_PER_MINUTE": "100000", "CREATIONS_PER_PERSON_PER_HOUR": "100000"}
    figures = []
    for kind in KINDS:
        taken: dict[str, Values] = {what: defaultdict(list) for what in ("form", "create", "list")}
        with ExitStack() as stack:
            servers = []
            for port, launches in zip(ports, (size.few, size.many), strict=True):
                url = f"sqlite:///{rig.directory / f'{launches}.sqlite'}"
                if kind == "PostgreSQL":
                    url = stack.enter_context(rig.postgresql.database())
                portal = stack.enter_context(rig.portal(str(launches), port, url, **limits))
                fill(url, rig.sandbox.issuer, launches)
                with rig.store(url) as store:
                    portal.sign_in(store, rig.sandbox.issuer, 1)
                rig.load(portal, 1, what="visit", together=2, times=4, lists=True)
                servers.append(portal)
            for server in in_turn(servers, size.rounds):
                met = rig.load(server, 1, what="visit", together=1, times=size.steps, lists=True)
                for what, values in taken.items():
                    values[server.name].append(median(met[what]))
        for what, values in taken.items():
            few, many = values[str(size.few)], values[str(size.many)]
            name = f"{size.few:,} → {size.many:,} launches: {what}, {kind}"
            figures.append(Figure(name, "× the few", _by(many, few)))
    return figures


def percentile(values: Sequence[float], of_hundred: int) -> float:
    """Return the value that so many of a hundred do not exceed."""
    return sorted(values)[math.ceil(len(values) * of_hundred / 100) - 1]


def _ratios(what: str, values: Mapping[str, list[float]], unit: str) -> list[Figure]:
    """Return the bare handler's own figure, and each portal's as a multiple of it in the same round."""
    bare = values[BARE]
    return [Figure(f"{what}, bare", unit, bare)] + [
        Figure(f"{what}, {kind}", "× bare", _by(values[kind], bare)) for kind in KINDS
    ]


def _by(values: Sequence[float], others: Sequence[float]) -> list[float]:
    return [value / other for value, other in zip(values, others, strict=True)]


def _less(values: Sequence[float], others: Sequence[float]) -> list[float]:
    return [value - other for value, other in zip(values, others, strict=True)]


def _tell(what: str) -> None:
    print(f"… {what}", file=sys.stderr, flush=True)
