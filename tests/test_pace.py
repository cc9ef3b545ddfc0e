"""The pace, the same on SQLite and on PostgreSQL; time passes by moving every row's times back."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from uuid import uuid4

import pytest
from conftest import OpenStore
from sqlalchemy import select, update

from webapp.store import Store
from webapp.store.database import now_in
from webapp.store.erasing import Erasing
from webapp.store.launches import Launches, Lease
from webapp.store.pace import ABSENT, HELD, HOUR, LEASE, PROBE, VOID, WINDOW, Outlook, Pacer
from webapp.store.tables import Call, Launch, Pace, person_key

URL = "https://acme.app.exec.com/chat/1"
EMAIL = "dana@acme.example"
DANA = person_key("https://idp.example", "dana")
TIMES = ("created", "queued", "not_before", "seen", "due", "lease_until", "finished")


@pytest.fixture
def pacer(store: Store) -> Pacer:
    """Three a minute for all, and no limit of one's own."""
    return Pacer(store.database, 3, 0, "key")


def queue(pacer: Pacer, count: int = 1, person: str | None = None) -> list[Launch]:
    """Let so many press the button, one after the other: each a person of their own unless one is named."""
    launches = []
    for number in range(count):
        who = person or person_key("https://idp.example", str(uuid4()))
        recorded = Launches(pacer.database).record(who, EMAIL, "t", f"{number} {uuid4()}", another=False)
        assert recorded.launch
        launches.append(recorded.launch)
    return launches


def let_pass(pacer: Pacer, seconds: float) -> None:
    with pacer.database.write() as db:
        times = {name: getattr(Launch, name) - seconds for name in TIMES}
        db.execute(update(Launch).values(times))
        db.execute(update(Call).values(began=Call.began - seconds))
        db.execute(update(Pace).values(floor=Pace.floor - seconds, held_until=Pace.held_until - seconds))


def now(pacer: Pacer, launch: Launch) -> Launch:
    """The launch as it stands."""
    with pacer.database.read() as db:
        return db.get_one(Launch, launch.id)


def ask(pacer: Pacer, *launches: Launch) -> list[Launch]:
    """Let the pages of these ask, in this order; return those that may call now."""
    return [launch for launch in launches if pacer.begin(launch.id, EMAIL)]


def take(pacer: Pacer, launch: Launch) -> Lease:
    lease = pacer.begin(launch.id, EMAIL)
    assert lease, pacer.outlook(now(pacer, launch))
    return lease


def outlook(pacer: Pacer, launch: Launch) -> Outlook:
    return pacer.outlook(now(pacer, launch))


def end(pacer: Pacer, lease: Lease, outcome: str) -> None:
    """Let the call end like that, or leave it to itself."""
    match outcome:
        case "created":
            pacer.created(lease, URL)
        case "refused":
            pacer.refused(lease, "not_accepted", "")
        case "held":
            pacer.held(lease, "no_access")
        case "busy":
            pacer.busy(lease, 20)
        case "unavailable":
            pacer.unavailable(lease)


def hold(pacer: Pacer, launch: Launch) -> None:
    pacer.held(take(pacer, launch), "no_access")


# --- The limit


def test_no_more_begin_within_a_minute_than_allowed(pacer: Pacer) -> None:
    launches = queue(pacer, 5)

    assert ask(pacer, *launches) == launches[:3]
    assert ask(pacer, *launches[3:]) == []


def test_the_next_begin_when_a_minute_and_a_margin_are_over(pacer: Pacer) -> None:
    launches = queue(pacer, 5)
    ask(pacer, *launches)

    let_pass(pacer, WINDOW - 1)
    assert ask(pacer, *launches[3:]) == []

    let_pass(pacer, 1.1)
    assert ask(pacer, *launches[3:]) == launches[3:]


def test_calls_of_other_machines_count_from_when_they_began(open_store: OpenStore) -> None:
    here, there = Pacer(open_store().database, 3, 0, "key"), Pacer(open_store().database, 3, 0, "key")
    launches = queue(here, 5)
    ask(here, *launches[:2])
    let_pass(here, 40)

    assert ask(there, *launches[2:]) == [launches[2]]

    let_pass(here, WINDOW - 40 + 0.1)
    assert ask(there, *launches[3:]) == launches[3:]


def test_many_threads_of_many_machines_keep_the_limit_and_the_order(open_store: OpenStore) -> None:
    pacers = [Pacer(open_store().database, 10, 0, "key") for _ in range(4)]
    launches = queue(pacers[0], 24)
    together = threading.Barrier(len(launches))

    def press(number: int) -> bool:
        together.wait()
        pacer = pacers[number % 4]
        lease = pacer.begin(launches[number].id, EMAIL)
        if lease:
            pacer.created(lease, URL)
        return lease is not None

    with ThreadPoolExecutor(len(launches)) as threads:
        first = list(threads.map(press, range(len(launches))))
        let_pass(pacers[0], WINDOW - 4.9)
        again = list(threads.map(press, range(len(launches))))
        let_pass(pacers[0], 5)
        second = list(threads.map(press, range(len(launches))))

    assert first == [True] * 10 + [False] * 14
    assert not any(again)
    assert second == [False] * 10 + [True] * 10 + [False] * 4


def test_one_launch_that_many_ask_for_is_called_for_once(open_store: OpenStore) -> None:
    pacers = [Pacer(open_store().database, 10, 0, "key") for _ in range(4)]
    [launch] = queue(pacers[0])
    together = threading.Barrier(12)

    def press(number: int) -> bool:
        together.wait()
        return pacers[number % 4].begin(launch.id, EMAIL) is not None

    with ThreadPoolExecutor(12) as threads:
        assert sum(threads.map(press, range(12))) == 1


def test_zero_is_no_limit(store: Store) -> None:
    pacer = Pacer(store.database, 0, 0, "key")
    launches = queue(pacer, 30)

    assert ask(pacer, *reversed(launches)) == launches[::-1]


@pytest.mark.parametrize("seed", range(2))
def test_whatever_happens_the_limit_holds(pacer: Pacer, seed: int) -> None:
    """A workshop in which everything goes wrong that can; then the calls are counted."""
    chance = random.Random(seed)  # noqa: S311
    launches = queue(pacer, 12)
    for _ in range(40):
        let_pass(pacer, chance.choice([0.5, 3, 12, 40, 170]))
        for launch in chance.sample(launches, 4):
            lease = pacer.begin(launch.id, EMAIL)
            if lease is None:
                continue
            outcomes = ["created", "unavailable", "busy", "held", "process died"]
            end(pacer, lease, *chance.choices(outcomes, [1, 3, 2, 3, 2]))
        launches += queue(pacer)

    with pacer.database.read() as db:
        began = list(db.scalars(select(Call.began).order_by(Call.began)))
    assert len(began) > 20
    assert all(fourth - first >= WINDOW for first, fourth in zip(began, began[3:], strict=False))


# --- The order


def test_first_come_first_served_whoever_asks_first(pacer: Pacer) -> None:
    launches = queue(pacer, 4)

    assert ask(pacer, launches[3]) == []
    assert ask(pacer, *reversed(launches[:3])) == launches[2::-1]


def test_places_count_those_before(pacer: Pacer) -> None:
    launches = queue(pacer, 8)

    assert [outlook(pacer, launch).place for launch in launches] == list(range(8))


def test_a_place_is_lost_while_its_page_is_away(pacer: Pacer) -> None:
    away, here = queue(pacer, 2)
    ask(pacer, *queue(pacer, 3, DANA), away, here)
    let_pass(pacer, ABSENT + 1)
    ask(pacer, here)

    assert outlook(pacer, here).place == 0


def test_a_page_that_asks_keeps_its_place(pacer: Pacer) -> None:
    ask(pacer, *queue(pacer, 3))
    first, second = queue(pacer, 2)
    for _ in range(4):
        let_pass(pacer, 10)
        ask(pacer, first, second)

    assert outlook(pacer, second).place == 1


def test_whoever_comes_back_has_the_old_place(pacer: Pacer) -> None:
    ask(pacer, *queue(pacer, 3))
    away, here = queue(pacer, 2)
    let_pass(pacer, ABSENT + 1)
    ask(pacer, here)

    ask(pacer, away)

    assert [outlook(pacer, away).place, outlook(pacer, here).place] == [0, 1]


def test_a_closed_tab_holds_nobody_up(pacer: Pacer) -> None:
    launches = queue(pacer, 7)
    ask(pacer, *launches)
    for _ in range(4):
        let_pass(pacer, (WINDOW + 0.1) / 4)
        waiting = ask(pacer, launches[6])

    assert waiting == [launches[6]]


def test_a_promised_time_that_passes_unused_is_free_for_the_next(pacer: Pacer) -> None:
    """A laptop that fell asleep a moment ago: seen within 30 s, but not there when it was its turn."""
    gone, here = queue(pacer, 2)
    ask(pacer, gone)
    with pacer.database.write() as db:
        db.execute(update(Launch).where(Launch.id == gone.id).values(state="waiting"))
    one_a_minute = Pacer(pacer.database, 1, 0, "key")
    let_pass(pacer, WINDOW - 5)
    ask(one_a_minute, gone, here)
    assert outlook(one_a_minute, here).seconds > WINDOW

    let_pass(pacer, 5 + VOID - 1)
    assert ask(one_a_minute, here) == []

    let_pass(pacer, 1.1)
    assert ask(one_a_minute, here) == [here]


def test_plain_looking_renews_nothing(pacer: Pacer) -> None:
    [launch] = queue(pacer)
    before = now(pacer, launch)

    outlook(pacer, launch)

    after = now(pacer, launch)
    assert [getattr(after, name) for name in TIMES] == [getattr(before, name) for name in TIMES]


# --- The countdown


def test_what_a_workshop_is_promised_is_what_happens(pacer: Pacer) -> None:
    launches = queue(pacer, 11)
    ask(pacer, *launches)
    promised = {launch.id: outlook(pacer, launch).seconds for launch in launches}
    assert all(promised[launch.id] == 0 for launch in launches[:3]), "these are being created"

    begun: dict[object, float] = {}
    passed, waiting = 0.0, launches[3:]
    while waiting:
        step = min(10, min(outlook(pacer, launch).seconds for launch in waiting) + 0.05)
        let_pass(pacer, step)
        passed += step
        begun |= {launch.id: passed for launch in ask(pacer, *waiting)}
        waiting = [launch for launch in waiting if launch.id not in begun]

    assert [begun[one.id] for one in launches[3:]] == sorted(begun.values())
    for launch in launches[3:]:
        assert begun[launch.id] == pytest.approx(promised[launch.id], abs=10)


def test_a_promise_never_grows_while_nothing_new_happens(pacer: Pacer) -> None:
    launches = queue(pacer, 8)
    ask(pacer, *launches)
    promises = []
    for _ in range(10):
        ask(pacer, *launches)
        promises.append(outlook(pacer, launches[7]).seconds)
        let_pass(pacer, 6)

    assert all(later < earlier for earlier, later in pairwise(promises))


def test_nobody_waits_when_there_is_room(pacer: Pacer) -> None:
    [launch] = queue(pacer)

    assert outlook(pacer, launch) == Outlook(0, 0)


def test_a_launch_being_created_waits_no_more(pacer: Pacer) -> None:
    [launch] = queue(pacer)
    take(pacer, launch)

    assert outlook(pacer, launch) == Outlook(0, 0)


# --- What Exec answers


def test_a_session_is_noted(pacer: Pacer) -> None:
    [launch] = queue(pacer)

    noted = pacer.created(take(pacer, launch), URL)

    assert (noted.state, noted.url, noted.reason, noted.lease_until) == ("ready", URL, None, None)
    assert noted.finished
    assert pacer.begin(launch.id, EMAIL) is None


def test_a_refusal_is_noted(pacer: Pacer) -> None:
    [launch] = queue(pacer)

    noted = pacer.refused(take(pacer, launch), "not_accepted", "Too long")

    assert (noted.state, noted.reason, noted.detail) == ("refused", "not_accepted", "Too long")
    assert pacer.begin(launch.id, EMAIL) is None


def test_busy_stops_everybody_for_as_long_as_exec_says(pacer: Pacer) -> None:
    told, other = queue(pacer, 2)
    pacer.busy(take(pacer, told), 30)

    assert ask(pacer, told, other) == []
    assert outlook(pacer, other).seconds == pytest.approx(30, abs=1)

    let_pass(pacer, 30.1)
    assert ask(pacer, told, other) == [told, other]


def test_a_wait_that_nobody_can_believe_is_a_growing_minute(pacer: Pacer) -> None:
    (told,) = queue(pacer, 1)
    for seconds in (60, 120, 240):
        pacer.busy(take(pacer, told), None)
        assert outlook(pacer, told).seconds == pytest.approx(seconds, abs=1)
        let_pass(pacer, seconds + 0.1)


def test_a_shorter_wait_does_not_end_a_longer_one(pacer: Pacer) -> None:
    first, second = queue(pacer, 2)
    leases = [take(pacer, first), take(pacer, second)]
    pacer.busy(leases[0], 300)
    pacer.busy(leases[1], 5)

    assert outlook(pacer, first).seconds == pytest.approx(300, abs=1)


def test_busy_keeps_the_order(pacer: Pacer) -> None:
    first, second = queue(pacer, 2)
    pacer.busy(take(pacer, first), 5)

    assert [outlook(pacer, first).place, outlook(pacer, second).place] == [0, 1]
    assert now(pacer, first).queued == first.queued


def test_a_long_call_costs_no_place(pacer: Pacer) -> None:
    first, second = queue(pacer, 2)
    lease = take(pacer, first)
    let_pass(pacer, VOID + 1)
    pacer.busy(lease, 5)

    assert [outlook(pacer, first).place, outlook(pacer, second).place] == [0, 1]


def test_a_failure_goes_to_the_back(pacer: Pacer) -> None:
    first, second = queue(pacer, 2)
    noted = pacer.unavailable(take(pacer, first))

    assert (noted.state, noted.reason) == ("waiting", "unavailable")
    assert noted.queued > second.queued
    let_pass(pacer, 5)
    ask(pacer, *queue(pacer, 3, DANA))
    assert outlook(pacer, second).place == 0
    assert outlook(pacer, first).place >= 1


def test_each_failure_waits_longer_than_the_one_before_up_to_a_minute(store: Store) -> None:
    pacer = Pacer(store.database, 0, 0, "key")
    [launch] = queue(pacer)
    waits = []
    for _ in range(9):
        lease = take(pacer, launch)
        pacer.unavailable(lease)
        waits.append(outlook(pacer, launch).seconds)
        let_pass(pacer, waits[-1] + 0.1)

    middle = [3, 6, 12, 24, 48, 60, 60, 60, 60]
    assert all(0.74 * m <= wait <= 1.26 * m for m, wait in zip(middle, waits, strict=True)), waits
    assert len({round(wait, 3) for wait in waits[5:]}) > 1, "no jitter"


def test_others_go_on_while_one_waits_after_a_failure(pacer: Pacer) -> None:
    first, second = queue(pacer, 2)
    pacer.unavailable(take(pacer, first))

    assert ask(pacer, first, second) == [second]


# --- Held: what only the operator can mend


def test_a_held_launch_is_tried_again_after_five_minutes(pacer: Pacer) -> None:
    [launch] = queue(pacer)
    hold(pacer, launch)
    assert (now(pacer, launch).state, now(pacer, launch).held) == ("waiting", True)

    let_pass(pacer, HELD - 1)
    assert ask(pacer, launch) == []

    let_pass(pacer, 1.1)
    assert ask(pacer, launch) == [launch]


def test_one_held_launch_is_tried_in_five_minutes_for_all(pacer: Pacer) -> None:
    launches = queue(pacer, 3)
    for launch in launches:
        hold(pacer, launch)
    tried = []
    for _ in range(3):
        let_pass(pacer, HELD - 5)
        assert ask(pacer, *launches) == [], "all pages are open"
        let_pass(pacer, 5.1)
        begun = [pacer.begin(launch.id, EMAIL) for launch in launches]
        [lease] = [lease for lease in begun if lease]
        tried.append(lease.launch.id)
        pacer.held(lease, "no_access")
        assert ask(pacer, *launches) == []

    assert set(tried) == {launch.id for launch in launches}, "not the fewest attempts first"


def test_new_launches_that_are_held_put_off_nobody(pacer: Pacer) -> None:
    [first] = queue(pacer)
    hold(pacer, first)
    let_pass(pacer, HELD - 10)
    hold(pacer, *queue(pacer))
    let_pass(pacer, 10.1)

    assert ask(pacer, first) == [first]


def test_a_held_attempt_that_never_ends_is_not_followed_at_once(pacer: Pacer) -> None:
    launches = queue(pacer, 2)
    for launch in launches:
        hold(pacer, launch)
    let_pass(pacer, HELD + 0.1)
    assert len(ask(pacer, *launches)) == 1

    assert ask(pacer, *launches) == []


def test_the_place_among_the_held_counts_those_tried_less_often(pacer: Pacer) -> None:
    first, second = queue(pacer, 2)
    hold(pacer, first)
    hold(pacer, second)

    assert outlook(pacer, first).seconds == pytest.approx(HELD, abs=1)
    assert outlook(pacer, second).seconds == pytest.approx(2 * HELD, abs=1)


def test_a_held_launch_whose_page_is_away_is_passed_over(pacer: Pacer) -> None:
    first, second = queue(pacer, 2)
    hold(pacer, first)
    hold(pacer, second)
    let_pass(pacer, HELD + 0.1)

    assert ask(pacer, second) == [second]


def test_a_new_launch_gets_its_first_attempt_while_others_are_held(pacer: Pacer) -> None:
    hold(pacer, *queue(pacer))
    [new] = queue(pacer)

    assert ask(pacer, new) == [new]


def test_held_launches_take_no_place_of_others(pacer: Pacer) -> None:
    hold(pacer, *queue(pacer))
    [new] = queue(pacer)

    assert outlook(pacer, new).place == 0


# --- A long Retry-After


HALF_A_DAY = 12 * HOUR


@pytest.fixture
def stopped(pacer: Pacer) -> list[Launch]:
    """Four that wait because Exec asked everybody to come back in half a day."""
    first, *others = queue(pacer, 4)
    pacer.busy(take(pacer, first), HALF_A_DAY)
    return [first, *others]


def test_under_a_long_floor_one_call_an_hour_asks_again(pacer: Pacer, stopped: list[Launch]) -> None:
    let_pass(pacer, PROBE - 10)
    assert ask(pacer, *stopped) == []
    let_pass(pacer, 11)
    assert len(ask(pacer, *stopped)) == 1
    let_pass(pacer, PROBE - 10)
    assert ask(pacer, *stopped) == []


def test_a_probe_that_goes_through_lifts_the_floor(pacer: Pacer, stopped: list[Launch]) -> None:
    let_pass(pacer, PROBE + 1)
    pacer.created(take(pacer, stopped[0]), URL)

    assert ask(pacer, *stopped[1:3]) == stopped[1:3]


def test_a_probe_that_is_refused_keeps_everybody_waiting(pacer: Pacer, stopped: list[Launch]) -> None:
    let_pass(pacer, PROBE + 1)
    pacer.busy(take(pacer, stopped[0]), HALF_A_DAY)
    let_pass(pacer, PROBE - 10)

    assert ask(pacer, *stopped) == []


def test_a_call_that_began_before_the_floor_does_not_lift_it(pacer: Pacer) -> None:
    first, second, third = queue(pacer, 3)
    early = take(pacer, first)
    pacer.busy(take(pacer, second), HALF_A_DAY)
    pacer.created(early, URL)

    assert ask(pacer, second, third) == []


def test_a_new_key_lifts_the_floor(pacer: Pacer, stopped: list[Launch]) -> None:
    repaired = Pacer(pacer.database, 3, 0, "new key")

    assert ask(repaired, stopped[0]) == [stopped[0]]


def test_the_operator_lifts_the_floor(pacer: Pacer, stopped: list[Launch]) -> None:
    pacer.resume()

    assert ask(pacer, stopped[0]) == [stopped[0]]


def test_the_operator_releases_what_is_held(pacer: Pacer) -> None:
    first, second = queue(pacer, 2)
    hold(pacer, first)
    pacer.resume()

    assert ask(pacer, first, second) == [first, second]


def test_a_held_attempt_keeps_the_limit_and_the_floor(pacer: Pacer) -> None:
    held, *others = queue(pacer, 4)
    hold(pacer, held)
    let_pass(pacer, HELD + 0.1)
    ask(pacer, *others)

    assert ask(pacer, held) == []
    assert outlook(pacer, held).seconds == pytest.approx(WINDOW, abs=1)


def test_a_new_key_releases_all_at_once(pacer: Pacer) -> None:
    launches = queue(pacer, 3)
    for launch in launches:
        hold(pacer, launch)
    let_pass(pacer, WINDOW + 0.1)

    repaired = Pacer(pacer.database, 3, 0, "new key")

    assert ask(repaired, *launches) == launches


def test_the_same_key_releases_nobody(pacer: Pacer) -> None:
    [launch] = queue(pacer)
    hold(pacer, launch)
    let_pass(pacer, WINDOW + 0.1)

    assert ask(Pacer(pacer.database, 3, 0, "key"), launch) == []


def test_the_key_itself_is_not_in_the_database(store: Store) -> None:
    pacer = Pacer(store.database, 3, 0, "exec_live_secret")
    hold(pacer, *queue(pacer))

    with store.database.read() as db:
        assert "secret" not in db.get_one(Pace, 1).access


def test_a_success_releases_all_at_once(pacer: Pacer) -> None:
    held = queue(pacer, 2)
    for launch in held:
        hold(pacer, launch)
    let_pass(pacer, WINDOW + 0.1)

    pacer.created(take(pacer, *queue(pacer)), URL)

    assert ask(pacer, *held) == held


def test_a_success_releases_from_no_floor_that_came_after_it(pacer: Pacer) -> None:
    held, new, told = queue(pacer, 3)
    hold(pacer, held)
    lease = take(pacer, new)
    pacer.busy(take(pacer, told), 300)

    pacer.created(lease, URL)

    assert not now(pacer, held).held
    assert outlook(pacer, held).seconds == pytest.approx(300, abs=1)


def test_a_success_that_began_when_nobody_was_held_lifts_nothing(pacer: Pacer) -> None:
    """The key was refused after that call had begun: the refusal is the news."""
    early, late = queue(pacer, 2)
    lease = take(pacer, early)
    hold(pacer, late)

    pacer.created(lease, URL)

    assert now(pacer, late).held


def test_a_held_launch_is_an_ordinary_one_when_its_attempt_has_another_end(pacer: Pacer) -> None:
    """Even where a new key was set during the attempt: nothing lets go what it did not find held."""
    launch, other = queue(pacer, 2)
    hold(pacer, launch)
    let_pass(pacer, WINDOW + HELD)
    lease = take(pacer, launch)
    take(Pacer(pacer.database, 3, 0, "new key"), other)

    pacer.unavailable(lease)

    left = now(pacer, launch)
    assert (left.state, left.reason, left.held) == ("waiting", "unavailable", False)


def test_a_released_launch_is_not_explained_by_what_held_it(pacer: Pacer) -> None:
    held = queue(pacer, 2)
    for launch in held:
        hold(pacer, launch)
    pacer.created(take(pacer, *queue(pacer)), URL)
    assert now(pacer, held[0]).reason is None

    let_pass(pacer, WINDOW + 0.1)
    hold(pacer, held[0])
    Pacer(pacer.database, 3, 0, "new key").begin(held[1].id, EMAIL)
    assert now(pacer, held[0]).reason is None


def test_new_settings_release_what_ones_own_limit_put_off_as_well(store: Store) -> None:
    before, after = Pacer(store.database, 0, 2, "key"), Pacer(store.database, 0, 3, "new key")
    held, *others = queue(before, 3, DANA)
    hold(before, held)
    let_pass(before, HOUR)
    for launch in others:
        before.unavailable(take(before, launch))
    assert ask(before, held) == []
    assert now(before, held).reason == "own_limit"

    assert ask(after, others[0], held) == [held]


def test_a_held_launch_that_is_refused_is_not_on_hold_any_more(pacer: Pacer) -> None:
    [launch] = queue(pacer)
    hold(pacer, launch)
    let_pass(pacer, HELD + 0.1)

    noted = pacer.refused(take(pacer, launch), "not_accepted", "")

    assert not noted.held


# --- A person's own limit


def test_a_person_begins_so_many_in_an_hour(store: Store) -> None:
    pacer = Pacer(store.database, 0, 2, "key")
    launches = queue(pacer, 3, DANA)

    assert ask(pacer, *launches) == launches[:2]

    let_pass(pacer, HOUR - 1)
    assert ask(pacer, launches[2]) == []
    let_pass(pacer, 1.1)
    assert ask(pacer, launches[2]) == [launches[2]]


def test_one_persons_limit_is_nobody_elses(store: Store) -> None:
    pacer = Pacer(store.database, 0, 1, "key")
    ask(pacer, *queue(pacer, 2, DANA))
    [other] = queue(pacer)

    assert ask(pacer, other) == [other]


def test_trying_the_same_launch_again_is_no_second_creation(store: Store) -> None:
    pacer = Pacer(store.database, 0, 2, "key")
    [launch] = queue(pacer, 1, DANA)
    for _ in range(3):
        pacer.unavailable(take(pacer, launch))
        let_pass(pacer, 80)

    assert len(ask(pacer, *queue(pacer, 2, DANA))) == 1


def test_the_last_launch_of_the_hour_may_be_tried_again(store: Store) -> None:
    pacer = Pacer(store.database, 0, 1, "key")
    [launch] = queue(pacer, 1, DANA)
    pacer.unavailable(take(pacer, launch))
    let_pass(pacer, 80)

    assert ask(pacer, launch) == [launch]


def test_somebody_over_their_own_limit_takes_no_place(store: Store) -> None:
    pacer = Pacer(store.database, 3, 1, "key")
    over = queue(pacer, 2, DANA)
    assert ask(pacer, *over) == [over[0]]
    launches = queue(pacer, 3)

    assert outlook(pacer, over[1]).seconds == pytest.approx(HOUR, abs=1)
    assert [outlook(pacer, launch).place for launch in launches] == [0, 1, 2]
    assert ask(pacer, *launches) == launches[:2]


def test_a_limit_that_was_raised_helps_those_who_wait_already(store: Store) -> None:
    pacer = Pacer(store.database, 0, 1, "key")
    launches = queue(pacer, 2, DANA)
    ask(pacer, *launches)

    assert ask(Pacer(store.database, 0, 2, "key"), launches[1]) == [launches[1]]


def test_zero_is_no_limit_of_ones_own(store: Store) -> None:
    pacer = Pacer(store.database, 0, 0, "key")
    launches = queue(pacer, 25, DANA)

    assert ask(pacer, *launches) == launches


# --- A process that dies


def test_a_lease_keeps_others_away_for_longer_than_a_call(pacer: Pacer) -> None:
    [launch] = queue(pacer)
    take(pacer, launch)

    let_pass(pacer, LEASE - 1)

    assert pacer.begin(launch.id, EMAIL) is None


def test_a_lease_that_ran_out_lets_another_take_over_with_the_same_request_id(pacer: Pacer) -> None:
    [launch] = queue(pacer)
    first = take(pacer, launch)

    let_pass(pacer, LEASE + 1)
    second = take(pacer, launch)

    assert second.launch.request_id == first.launch.request_id
    assert (first.attempt, second.attempt) == (1, 2)


@pytest.mark.parametrize("outcome", ["refused", "held", "busy", "unavailable"])
def test_a_late_failure_changes_nothing(pacer: Pacer, outcome: str) -> None:
    [launch] = queue(pacer)
    late = take(pacer, launch)
    let_pass(pacer, LEASE + 1)
    take(pacer, launch)

    end(pacer, late, outcome)

    left = now(pacer, launch)
    assert (left.state, left.attempt, left.reason, left.held) == ("creating", 2, None, False)


@pytest.mark.parametrize("outcome", ["refused", "held", "busy", "unavailable"])
def test_a_late_failure_does_not_undo_a_session(pacer: Pacer, outcome: str) -> None:
    [launch] = queue(pacer)
    late = take(pacer, launch)
    let_pass(pacer, LEASE + 1)
    pacer.created(take(pacer, launch), URL)

    end(pacer, late, outcome)

    assert (now(pacer, launch).state, now(pacer, launch).url) == ("ready", URL)


@pytest.mark.parametrize("outcome", ["refused", "held", "busy", "unavailable", "process died"])
def test_a_late_session_wins_whatever_happened_meanwhile(pacer: Pacer, outcome: str) -> None:
    [launch] = queue(pacer)
    late = take(pacer, launch)
    let_pass(pacer, LEASE + 1)
    end(pacer, take(pacer, launch), outcome)

    pacer.created(late, URL)

    left = now(pacer, launch)
    assert (left.state, left.url, left.reason, left.held) == ("ready", URL, None, False)


def test_the_first_session_noted_stays(pacer: Pacer) -> None:
    [launch] = queue(pacer)
    late = take(pacer, launch)
    let_pass(pacer, LEASE + 1)
    pacer.created(take(pacer, launch), URL)

    pacer.created(late, "https://acme.app.exec.com/chat/2")

    assert now(pacer, launch).url == URL


def test_the_time_of_the_calls_is_the_databases(pacer: Pacer) -> None:
    [launch] = queue(pacer)
    take(pacer, launch)

    with pacer.database.read() as db:
        assert 0 <= now_in(db) - db.scalars(select(Call.began)).one() < 5


# --- Erased during the call


@pytest.mark.parametrize("outcome", ["created", "refused", "held", "busy", "unavailable"])
def test_what_is_erased_during_its_call_is_forgotten_after_it(pacer: Pacer, outcome: str) -> None:
    [launch] = queue(pacer)
    lease = take(pacer, launch)
    Erasing(pacer.database).launch(launch.id, launch.person)

    end(pacer, lease, outcome)

    left = now(pacer, launch)
    assert left.erased
    assert (left.prompt, left.email, left.url, left.detail, left.held) == (None, None, None, None, False)
    assert pacer.begin(launch.id, EMAIL) is None


def test_a_late_session_of_an_erased_launch_leaves_no_trace(pacer: Pacer) -> None:
    [launch] = queue(pacer)
    lease = take(pacer, launch)
    let_pass(pacer, LEASE + 1)
    Erasing(pacer.database).launch(launch.id, launch.person)

    pacer.created(lease, URL)

    assert now(pacer, launch).url is None
