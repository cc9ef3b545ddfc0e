"""Texts that a person may start from: `/?starter=<name>` puts one into the form."""

from typing import NamedTuple


class Starter(NamedTuple):
    title: str
    text: str


STARTERS = {
    "discovery": Starter(
        "Discovery call",
        "Situation: a first call with the IT director of a company that plans in spreadsheets.\n"
        "Goal: find out what the present way costs them, and who decides.\n"
        "Good looks like: open questions, listening, a next step with a date.\n"
        "Challenge: the director is polite, short of time and has been disappointed by a vendor before.",
    ),
    "objection": Starter(
        "Price objection",
        "Situation: the last meeting before a decision; the buyer has a cheaper offer on the table.\n"
        "Goal: keep the price, or trade every concession for something of value.\n"
        "Good looks like: asking before answering, staying calm, naming the value in the buyer's own words.\n"
        "Challenge: the buyer repeats the competitor's price and goes silent.",
    ),
    "feedback": Starter(
        "Difficult feedback",
        "Situation: a talk with a valued colleague whose reports have been late three times.\n"
        "Goal: say clearly what has to change, and agree on how.\n"
        "Good looks like: facts without blame, room for an explanation, a clear agreement.\n"
        "Challenge: the colleague feels attacked and points to other teams.",
    ),
}
