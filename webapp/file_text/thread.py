"""The messages of a thread: where each begins, and who wrote it."""

import re

from .joining import joined_off
from .marks import QUOTED
from .signature import unsigned


def conversation(text: str, writer: str = "") -> str:
    """Return the messages of a thread, each without its head, its quotation marks and its signature.

    Of a quoted head only who wrote stays: it says whose words follow. `writer` wrote what has no head.
    """
    lines = [line.rstrip() for line in joined_off(text).split("\n")]
    messages: list[tuple[str, list[str]]] = [("", [])]
    writers = {0: writer}  # by depth: an answer between quoted lines needs its writer's name again
    depth: int | None = 0
    at = 0
    while at < len(lines):
        may = MAY_BE_HEAD.match(lines[at])
        name, length = quoted_head(lines[at : at + 12]) if may else ("", 0)
        marks = QUOTED.match(lines[at])
        deep = marks[0].count(">") if marks else 0
        bare = QUOTED.sub("", lines[at])
        if length:
            messages.append((name, []))
            depth = None  # what follows a head belongs to it, however it is marked
        elif bare.strip():
            if depth is None:
                writers[deep] = messages[-1][0]
            elif depth != deep:
                messages.append((writers.get(deep, ""), []))
            depth = deep
        if not length:
            messages[-1][1].append(bare)
        at += length or 1
    said = ((name, unsigned(one, name or writer)) for name, one in messages)
    return re.sub(
        r"\n{3,}", "\n\n", "\n\n".join(f"{name}:\n\n{text}" if name else text for name, text in said if text)
    ).strip()


def quoted_head(lines: list[str]) -> tuple[str, int]:
    """Return who wrote what follows, and how many lines say so; 0 when none of these begins a quotation."""
    quotes = any(QUOTED.match(line) and not QUOTED.match(lines[0]) for line in lines[1:3])
    lines = [QUOTED.sub("", line).strip() for line in lines]
    if RULE.fullmatch(lines[0]):
        name, length = quoted_head([*lines[1:], ""]) if len(lines) > 1 else ("", 0)
        blank = not length and len(lines) > 2 and not lines[1]
        if blank:
            name, length = quoted_head([*lines[2:], ""])
        certain = WORDS_OF_RULE.search(lines[0])
        return (name, length + 1 + blank) if length else ("", 1 if certain else 0)
    for length in (1, 2, 3):
        wrote = WROTE.fullmatch(" ".join(lines[:length]))
        if wrote and wrote[0]:
            return name_after_date(wrote["after"] or wrote["before"] or wrote[0][:-1]), length
    if WROTE_ANYHOW.fullmatch(lines[0]) or (quotes and DATED.fullmatch(lines[0])):
        return name_after_date(lines[0][:-1]), 1
    length = next((n for n, line in enumerate(lines) if not HEAD_LINE.match(line)), len(lines))
    written = [line for line in lines[:length] if HEAD_FROM.match(line)]
    return (name_in(HEAD_FROM.sub("", written[0])), length) if written and length > 2 else ("", 0)


def name_in(text: str) -> str:
    """Return the name before an address, or the address."""
    name = re.sub(r"\s*[\[(<].*$", "", text).strip("*'\" ")
    return name or text.strip("*'\"<>[]() ")


def name_after_date(text: str) -> str:
    """Return the name in `Mon, 2 March 2026 at 9:15 AM Dana Lee <dana@example.com>`."""
    addressed = re.search(r"([^,<>]*)<\s?[^<>\s]+@[^<>\s]+>", text)
    named = addressed[0].lstrip(", ") if addressed else text.rpartition(",")[2]
    date = r"(?i)^.*\d{1,2}[:.h]\d{2}(?:\s?[AP]M)?\W*(?:Uhr|schrieb|schreef|skrev)?[^\w<]*"
    return name_in(re.sub(date, "", named))


# What Outlook calls the lines of a head, in the languages that it speaks.
FROM_WORDS = "From|Von|De|Da|Van|Från|Fra|Od|От|Від|Lähettäjä|Feladó|Kimden|Gönderen|Από|מאת|من|差出人|发件人|寄件者|보낸 사람"
HEAD_WORDS = (
    "Sent|Date|To|Cc|Bcc|Subject|Reply-To|Importance|Gesendet|Datum|An|Betreff|Envoyé|À|Objet|Enviad[oa](?: el| em)?|Fecha|Para|Asunto"
    "|Assunto|Inviato|Data|A|Oggetto|Verzonden|Aan|Onderwerp|Skickat|Till|Ämne|Sendt|Til|Emne|Wysłano|Do|Temat|DW|Odesláno|Komu"
    "|Předmět|Kopie|Отправлено|Дата|Кому|Копия|Тема|Lähetetty|Vastaanottaja|Aihe|Kopio|Elküldve|Címzett|Tárgy|Tarih|Kime|Konu"
    "|Gönder(?:ilme|me) Tarihi|Στάλθηκε|Προς|Θέμα|נשלח|אל|נושא|送信日時|宛先|件名|日時|发送时间|收件人|抄送|主题|寄件日期|收件者|主旨"
    "|보낸 날짜|받는 사람|참조|제목"
)
MAY_BE_HEAD = re.compile(
    r"(?i).{0,400}[:\uff1a]\s*$|[> \t]*(?:[-_=]{3}|begin forwarded|anfang der|\d{4}[年/-]|(?:on|am|le|el|il|op|em|den)\s"
    rf"|\*?(?:{FROM_WORDS}|{HEAD_WORDS})\s?[:\uff1a])"
)
RULE = re.compile(
    r"[-_=\s]{3,}(?:[^\n]{4,60}?[-_=\s]{3,})?|Begin forwarded message:|Anfang der weitergeleiteten .*:"
)
WORDS_OF_RULE = re.compile(r"(?i)message|nachricht|mail|mensaje|forwarded|weitergeleitet")
WROTE = re.compile(
    r"(?:On|Am|Le|El|Il|Op|Em|Den)\s(?P<before>.{6,240}?)\s?"
    r"(?:wrote|(?:schrieb|schreef|skrev)(?P<after>[^:]{0,120}(?:<[^>]*>)?)|a écrit|escribió|ha scritto|escreveu)"
    r"\s?:|(?:\d{4}年|\d{4}-\d\d-\d\d|\d{4}/\d\d?/\d\d?).{3,120}<[^>]+>\s?[:\uff1a]"
)
# In other languages: a date with a time and an address, or such a line right above a quotation.
WROTE_ANYHOW = re.compile(r".{3,160}\d{1,2}[:.h]\d{2}\b.{0,120}<[^<>\s]+@[^<>\s]+>.{0,40}[:\uff1a]")
DATED = re.compile(r".{0,80}\d{1,2}[:.h]\d{2}\b.{2,120}[:\uff1a]")
HEAD_FROM = re.compile(rf"(?i)\*?(?:{FROM_WORDS})\s?[:\uff1a]\*?\s*(?=\S)")
HEAD_LINE = re.compile(rf"(?i)\*?(?:{FROM_WORDS}|{HEAD_WORDS})\s?(?::\*?(?:\s|$)|\uff1a)")
