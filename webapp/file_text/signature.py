"""How messages end: closings, cards, advertisements and legal notices, which go off."""

import re

from .marks import LISTED


def unsigned(message: list[str], writer: str) -> str:
    """Return a message without its signature, the device's advertisement and the legal notice."""
    lines = [line for line in message if not DEVICE.match(line.strip())]
    lines = lines[: next((n for n, line in enumerate(lines) if SIGNATURE.fullmatch(line)), len(lines))]
    lines = lines[: next((n for n, line in enumerate(lines) if n and NOTICE.match(line)), len(lines))]
    lines = lines[
        : next((n for n, line in enumerate(lines) if n and is_card(line, lines[n + 1 :])), len(lines))
    ]
    for at in (n for n, line in enumerate(lines) if n and CLOSING.fullmatch(line.strip())):
        rest = [one.strip() for one in lines[at + 1 : at + 40] if one.strip()]
        short = len(rest) <= 12 and all(len(one) <= 90 and not LISTED.match(one) for one in rest)
        if short and len(lines) <= at + 40:
            lines = lines[:at]
            break
    lines = lines[: next((n for n in range(2, len(lines)) if signs_off(lines, n, writer)), len(lines))]
    return "\n".join(lines).strip()


def is_card(line: str, below: list[str]) -> bool:
    """Whether a line of signs parts a text from the writer's name, company and numbers, as in Japan."""
    rest = [one for one in below if one.strip() and not CARD.fullmatch(one)]
    short = 0 < len(rest) <= 12 and all(len(one) <= 60 for one in rest)
    return bool(CARD.fullmatch(line)) and short and any(CONTACT.search(one) for one in rest)


CARD = re.compile(r"[-=*_━─—＿◇◆☆★+~]{6,}\s*")
CONTACT = re.compile(r"(?i)\b(?:tel|fax|mobile|www|https?)\b|[\w.]@[\w.]|\d{2,4}-\d{2,4}-\d{4}|〒|\+\d{2}")


def signs_off(lines: list[str], at: int, writer: str) -> bool:
    """Whether only the writer's name and a few short lines about them are left, below a blank one."""
    if lines[at - 1].strip() or len(lines) - at > 12:
        return False
    name = re.findall(r"[^\W\d_]+", lines[at])
    theirs = {word.casefold() for word in re.findall(r"[^\W\d_]{2,}", writer)}
    named = (
        0 < len(name) <= 6
        and all(not word[0].islower() for word in name)
        and not lines[at].endswith((":", "?"))
    )
    known = any(word.casefold() in theirs for word in name[:3])
    return named and known and all(len(line) <= 90 and not LISTED.match(line.strip()) for line in lines[at:])


SIGNATURE = re.compile(r"--[ \u00a0]?|—\s?|_{2,4}")
DEVICE = re.compile(
    r"(?i)(?:sent|gesendet|envoyé|enviado|inviato|verzonden|skickat) (?:from|von|de|depuis|desde|da|vanaf|från)\b"
    r".{1,60}$|(?:sent|gesendet|envoyé) (?:via|with|using|mit|über|avec) .{1,40}$|.{0,25}outlook (?:for|für|pour) (?:ios|android)|get outlook for|von mein\w+ \S+ gesendet"
    r"|caution: this e?-?mail originated|\[external\]|you don't often get e?-?mail from"
)
NOTICE = re.compile(
    r"(?i)\W*(?:confidentiality notice|disclaimer|legal notice|the information (?:contained )?in this|this (?:e-?mail|message|communication)"
    r"(?: and any\b.{0,60})? (?:is|are|may|contains?)\b.{0,80}(?:confidential|privileged|intended)"
    r"|diese (?:e-?mail|nachricht)\b.{0,60}(?:vertraulich|enthält)|ce (?:message|courriel)\b.{0,80}confidentiel"
    r"|registered (?:office|in)\b|please consider the environment|unsubscribe\W*$"
    r"|you (?:are )?receiv(?:e|ed|ing) this (?:e-?mail|message|newsletter|notification|because)\b"
    r"|(?:sitz der gesellschaft|(?:register|amts)gericht|handelsregister)\b.{0,3}:)"
)
CLOSING = re.compile(
    r"(?i)(?:(?:with |my )?(?:very )?(?:best|kind|kindest|warm|warmest)(?: (?:regards|wishes))?|regards|cheers"
    r"|(?:many |best )?thanks(?: again| in advance)?|thank you|thx|sincerely(?: yours)?|yours (?:sincerely|faithfully|truly)"
    r"|all the best|br|mit (?:freundlichen|besten|herzlichen|vielen|lieben) gr(?:ü|ue)(?:ß|ss)en(?: (?:aus|nach) .{2,30})?"
    r"|(?:(?:viele|beste|liebe|lieber|herzliche|freundliche) )?gr(?:uß|üße|uss|uesse)(?: (?:aus|nach) .{2,30})?|mfg|vg|lg"
    r"|(?:bien |très )?cordialement|bien à vous|(?:sincères|meilleures|cordiales) salutations|bonne (?:journée|soirée)"
    r"|(?:un )?(?:cordial )?saludos?(?: cordial(?:es)?)?|atentamente|(?:cordiali|distinti|un caro) salut[io]|saluti"
    r"|(?:met )?(?:vriendelijke|hartelijke) groet(?:en)?|groeten|mvg|(?:med )?vänliga hälsningar|hälsningar"
    r"|(?:med )?(?:venlig|vennlig) hilsen|mvh|(?:ystävällisin )?terveisin|pozdrawiam(?: serdecznie)?|z poważaniem"
    r"|s pozdravem|üdvözlettel|cu stimă|saygılarım(?:ız)?la|iyi çalışmalar|с уважением|с наилучшими пожеланиями|з повагою"
    r"|με εκτίμηση|בברכה|مع (?:أطيب )?التحي(?:ة|ات)|감사합니다|此致|敬礼|祝好|atenciosamente|cumprimentos)[,.!、，。]?"
)
