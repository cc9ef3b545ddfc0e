"""Texts that a person may start from: `/?starter=<name>` puts one into the form."""

import re
import tomllib
from pathlib import Path
from typing import NamedTuple

NAME = re.compile(r"[a-z0-9-]{1,40}")
LONGEST_TITLE, LONGEST_TEXT = 40, 10_000
MOST_STARTERS = 12


class Starter(NamedTuple):
    title: str
    text: str


class Part(NamedTuple):
    """What helps the agent, and the words by which a script guesses that a text holds it."""

    name: str
    words: str


PARTS = (
    Part(
        "Who meets",
        "meet meets meeting with buyer client customer prospect director manager lead colleague team "
        "employee candidate partner patient student",
    ),
    Part("Goal", "goal aim want reach agree convince persuade find learn win keep close sell decide"),
    Part("Good looks like", "good success successful well ideal ideally calm listening clear should"),
    Part(
        "Challenge",
        "challenge but hard difficult tough objection objects refuses resists angry sceptical skeptical "
        "upset doubts pushes worried impatient disappointed",
    ),
)


def _starter(title: str, who: str, goal: str, good: str, challenge: str) -> Starter:
    lines = zip((part.name for part in PARTS), (who, goal, good, challenge), strict=True)
    return Starter(title, "\n".join(f"{name}: {text}" for name, text in lines))


STARTERS = {
    "discovery": _starter(
        "Discovery call",
        "I, from sales, with the IT director of [company], which plans in spreadsheets. Our first call.",
        "Find out what the present way costs them, and who decides.",
        "Open questions, listening, a next step with a date.",
        "The director is polite, short of time, and was disappointed by a vendor before.",
    ),
    "objection": _starter(
        "Price objection",
        "I with the buyer of [company], who has a cheaper offer on the table. The last meeting.",
        "Keep the price, or trade every concession for something of value.",
        "Asking before answering, staying calm, naming the value in the buyer's own words.",
        "The buyer repeats the competitor's price and goes silent.",
    ),
    "renewal": _starter(
        "Renewal at risk",
        "I, the account manager, with the new head of operations at [company], who did not choose us.",
        "Learn what they need now, and agree on a review before the renewal.",
        "Curiosity instead of defence, one proof of value, a date for the review.",
        "Usage has fallen, and a competitor has offered a free trial.",
    ),
    "complaint": _starter(
        "Angry customer",
        "I, from support, with a long-standing customer whose [delivery] is a week late.",
        "Take the complaint seriously and agree on what happens today.",
        "Letting them finish, no excuses, one clear promise that can be kept.",
        "The customer is loud, interrupts, and threatens to leave.",
    ),
    "feedback": _starter(
        "Difficult feedback",
        "I, a team lead, with a valued colleague whose [reports] have been late three times.",
        "Say clearly what has to change, and agree on how.",
        "Facts without blame, room for an explanation, a clear agreement.",
        "The colleague feels attacked and points to other teams.",
    ),
    "change": _starter(
        "Unwanted change",
        "I, a manager, with my team, who have to move to [new tool] by the end of the quarter.",
        "Explain why, hear what worries them, and win two people to try it first.",
        "Honest about the cost, concrete about help, no promises that are not mine to make.",
        "The most experienced colleague says that the last change failed as well.",
    ),
    "interview": _starter(
        "Job interview",
        "I, the hiring manager, with a candidate for [role] who interviews well.",
        "Find out how they work when things go wrong.",
        "Questions about what they did, not what they would do; silence that lets them think.",
        "The candidate answers smoothly and in general terms.",
    ),
    "negotiation": _starter(
        "Salary talk",
        "I, a manager, with an employee who asks for [amount] more and has another offer.",
        "Understand what matters to them, and stay within what I may give.",
        "Thanks without pressure, a clear frame, a next step within a week.",
        "The employee wants an answer in this meeting.",
    ),
}


def read_starters(path: Path) -> dict[str, Starter]:
    """Return the starters of a TOML file: `[name]`, with `title` and `text`. Raises `ValueError`."""
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"is not TOML in UTF-8: {error}") from None
    if not 1 <= len(entries) <= MOST_STARTERS:
        raise ValueError(f"must hold 1 to {MOST_STARTERS} examples, each a [name] with title and text")
    return {name: _checked(name, entry) for name, entry in entries.items()}


def _checked(name: str, entry: object) -> Starter:
    if not NAME.fullmatch(name):
        raise ValueError(f"[{name[:40]}]: a name has lower-case letters, digits and hyphens")
    if not isinstance(entry, dict) or set(entry) != {"title", "text"}:
        raise ValueError(f"[{name}] must hold title and text, and nothing else")
    title, text = entry["title"], entry["text"]
    if not isinstance(title, str) or not 1 <= len(title.strip()) <= LONGEST_TITLE:
        raise ValueError(f"[{name}]: title must have 1 to {LONGEST_TITLE} characters")
    if not isinstance(text, str) or not 1 <= len(text.strip()) <= LONGEST_TEXT:
        raise ValueError(f"[{name}]: text must have 1 to {LONGEST_TEXT:,} characters")
    return Starter(title.strip(), text.strip())
