"""What the files say that people bring: calendars, transcripts, mails and documents, and hostile ones."""

import io
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from base64 import encodebytes
from collections.abc import Callable
from pathlib import Path

import docx
import pypdf
import pytest
from conftest import ROOT
from docx.oxml import parse_xml

from webapp import files
from webapp.files import Busy, NoText, TooLarge, UnknownKind, text_of

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def calendar(*events: str, method: str = "REQUEST") -> bytes:
    """A calendar as Outlook writes it, with these lines in its events."""
    body = "\n".join(f"BEGIN:VEVENT\n{event}\nEND:VEVENT" for event in events)
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\nMETHOD:{method}\n{body}\nEND:VCALENDAR\n"
    return text.replace("\n", "\r\n").encode()


def mail(body: str, *heads: str, encoding: str = "utf-8") -> bytes:
    heads = heads or ("Content-Type: text/plain; charset=utf-8",)
    start = ["From: Omar Okafor <omar@acme.example>", "To: dana@acme.example", "Subject: Renewal", *heads]
    return ("\r\n".join(start) + "\r\n\r\n" + body.replace("\n", "\r\n")).encode(encoding)


def said(body: str) -> str:
    """What stays of a mail's plain text."""
    return text_of(mail(body), "mail.eml").partition("\n\n")[2]


def document(*paragraphs: str) -> bytes:
    made = docx.Document()
    for text in paragraphs:
        made.add_paragraph(text)
    return saved(made)


def saved(made: "docx.document.Document") -> bytes:
    made.save(buffer := io.BytesIO())
    return buffer.getvalue()


def repacked(data: bytes, change: Callable[[bytes], bytes], part: str = "word/document.xml") -> bytes:
    """A docx with another main part, or another of its parts."""
    buffer, old = io.BytesIO(), zipfile.ZipFile(io.BytesIO(data))
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            inside = old.read(name)
            new.writestr(name, change(inside) if name == part else inside)
    return buffer.getvalue()


def main_part(inside: bytes, before: bytes = b"") -> bytes:
    head = b'<?xml version="1.0"?>' + before + b'<w:document xmlns:w="' + WORD.encode() + b'"><w:body>'
    return head + inside + b"</w:body></w:document>"


def pdf(*pages: str, stream: bytes = b"") -> bytes:
    """A PDF with these pages; `stream` takes the place of the first one's, already deflated."""
    objects = [b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"]
    tree = 2 * len(pages) + 2
    for page in pages:
        lines = b" T* ".join(b"(" + line.encode("cp1252") + b") Tj" for line in page.split("\n"))
        drawn = stream or zlib.compress(b"BT /F1 12 Tf 50 750 Td 14 TL " + lines + b" ET")
        objects.append(b"<< /Filter /FlateDecode /Length %d >>\nstream\n%b\nendstream" % (len(drawn), drawn))
        objects.append(
            b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 600 800] /Contents %d 0 R "
            b"/Resources << /Font << /F1 1 0 R >> >> >>" % (tree, len(objects))
        )
    kids = b" ".join(b"%d 0 R" % number for number in range(3, tree, 2))
    objects.append(b"<< /Type /Pages /Count %d /Kids [%b] >>" % (len(pages), kids))
    objects.append(b"<< /Type /Catalog /Pages %d 0 R >>" % tree)
    made, starts = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, 1):
        starts.append(len(made))
        made += b"%d 0 obj\n%b\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % start for start in starts)
    size = len(objects) + 1
    end = b"xref\n0 %d\n0000000000 65535 f \n%btrailer << /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF"
    return made + end % (size, table, size, size - 1, len(made))


def locked(password: str) -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("Secret plan")))
    writer.encrypt(password, "the owner's", algorithm="AES-256")
    writer.write(buffer := io.BytesIO())
    return buffer.getvalue()


# Calendars

TEAMS = (
    "________________________________________________________________________________\\n"
    "Microsoft Teams Need help?<https://aka.ms/JoinTeamsMeeting?omkt=en-US>\\nJoin the meeting now"
    "<https://teams.microsoft.com/l/meetup-join/19%3ameeting_x/0?context=%7b%7d>\\nMeeting ID: 312 456 789\\n"
    "Passcode: aB3xYz\\n________________________________\\nDial in by phone\\n+49 69 12345678\\,\\,998877665#"
    "<tel:+496912345678\\,\\,998877665> Germany\\, Frankfurt am Main\\nFind a local number"
    "<https://dialin.teams.microsoft.com/a?id=9>\\nPhone conference ID: 998 877 665#\\nFor organizers: Meeting "
    "options<https://teams.microsoft.com/meetingOptions/?x> | Reset dial-in PIN<https://dialin.teams.microsoft.com/p>\\n"
    "________________________________________________________________________________\\n"
)
ZOOM = (
    "Omar Okafor is inviting you to a scheduled Zoom meeting.\\n\\nTopic: Discovery\\n\\nJoin Zoom Meeting\\n"
    "https://us02web.zoom.us/j/812?pwd=abc\\n\\nMeeting ID: 812 3456 7890\\nPasscode: 123456\\n\\n---\\n\\n"
    "One tap mobile\\n+13126266799\\,\\,81234567890#\\,\\,\\,\\,*123456# US (Chicago)\\n\\n---\\n\\nDial by your location\\n"
    "• +1 312 626 6799 US (Chicago)\\n• 888 788 0099 US Toll-free\\n\\nFind your local number: https://us02web.zoom.us/u/a\\n\\n"
    "Join by SIP\\n• 81234567890@zoomcrc.com\\n\\nJoin by H.323\\n• 162.255.37.11 (US West)\\n"
)
MEET = (
    "\\n\\n-::~:~::~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~::~:~::-\\nJoin with Google Meet: https://meet.google.com/a-b-c\\n"
    "Or dial: (US) +1 570-909-1234 PIN: 123456789#\\nMore phone numbers: https://tel.meet/a-b-c?pin=1&hs=7\\n\\n"
    "Learn more about Meet at: https://support.google.com/a/users/answer/9282720\\n\\nPlease do not edit this "
    "section.\\n-::~:~::~:~:~:~:~:~::-"
)
WEBEX = (
    "-- Do not delete or change any of the following text. --\\n\\nWhen it's time\\, join your Webex meeting here.\\n\\n"
    "https://acme.webex.com/acme/j.php?MTID=m1\\n\\nMeeting number (access code): 2345 678 9012\\n\\nMeeting password: abc\\n\\n"
    "Tap to join from a mobile device (attendees only)\\n+1-415-655-0001\\,\\,23456789012## US Toll\\n\\nJoin by phone\\n"
    "+1-415-655-0001 US Toll\\nGlobal call-in numbers\\nhttps://acme.webex.com/globalcallin\\n\\nNeed help? Go to https://help.webex.com\\n"
)


def test_an_invitation_gives_subject_time_people_and_agenda() -> None:
    invite = calendar(
        'DTSTART;TZID="W. Europe Standard Time":20260303T140000\nDTEND;TZID="W. Europe Standard Time":20260303T150000\n'
        'SUMMARY:Renewal with Globex\nLOCATION:Room 5\nORGANIZER;CN="Okafor, Omar":mailto:omar@acme.example\n'
        'ATTENDEE;CN="Lee, Dana":mailto:dana@acme.example\nATTENDEE;CN=Room 5;CUTYPE=RESOURCE:mailto:r5@acme.example\n'
        "ATTENDEE:mailto:priya@globex.example\nDESCRIPTION:Agenda\\n14:00 Intro\\n14:30 Price\\, again\n"
        "BEGIN:VALARM\nACTION:DISPLAY\nDESCRIPTION:Reminder\nTRIGGER:-PT15M\nEND:VALARM"
    )
    assert text_of(invite, "invite.ics") == (
        "Subject: Renewal with Globex\n"
        "When: Tuesday, 3 March 2026, 14:00 to 15:00 (W. Europe Standard Time)\n"
        "Where: Room 5\nOrganiser: Okafor, Omar\nPeople: Lee, Dana, priya@globex.example\n\n"
        "Agenda\n14:00 Intro\n14:30 Price, again"
    )


@pytest.mark.parametrize("joining", [TEAMS, ZOOM, MEET, WEBEX], ids=["teams", "zoom", "meet", "webex"])
def test_an_invitation_loses_what_one_joins_by(joining: str) -> None:
    text = text_of(calendar(f"SUMMARY:Call\nDESCRIPTION:1. Price\\n2. Term\\n{joining}"), "a.ics")
    rest = text.removeprefix("Subject: Call\n\n1. Price\n2. Term").replace("Topic: Discovery", "").strip()
    assert rest == ""


ELSEWHERE = (
    "________________________________________________________________________________\\nRéunion Microsoft Teams\\n"
    "Rejoindre : https://teams.microsoft.com/meet/3123?p=abc\\nWhatever this is called\\nCode secret : aB3xYz\\n"
    "________________________________\\n+33 1 70 37 87 76\\,\\,123456789# France\\, Paris\\n"
    "________________________________________________________________________________\\n"
)
GOTO = (
    "Please join my meeting from your computer, tablet or smartphone.\\nhttps://meet.goto.com/123456789\\n\\n"
    "You can also dial in using your phone.\\nAccess Code: 123-456-789\\nUnited States: +1 (224) 501-3412\\n\\n"
    "Get the app now and be ready when your first meeting starts:\\nhttps://meet.goto.com/install\\n"
)


SECRETS = (
    "https://acme.webex.com/acme/j.php?MTID=m1\\nMeeting password: pWd123 (79312300 from phones)\\n"
    "Altrimenti\\, componi il numero +39 02 8732 3232 e inserisci questo PIN: 123 456#\\n"
    "https://calendly.com/events/abc/google_meet\\n"
)


@pytest.mark.parametrize("joining", [ELSEWHERE, GOTO, SECRETS], ids=["french", "goto", "secrets"])
def test_what_one_joins_by_goes_off_in_other_words(joining: str) -> None:
    text = text_of(calendar(f"SUMMARY:Call\nDESCRIPTION:1. Price\\n{joining}2. Term"), "a.ics")
    assert re.sub(r"\n+", "\n", text) == "Subject: Call\n1. Price\n2. Term"


def agenda(*lines: str) -> str:
    """What stays of an invitation that ends, or begins, with how one joins."""
    text = "\\n".join(["Join Zoom Meeting", "https://us02web.zoom.us/j/812?pwd=abc", *lines])
    return (
        text_of(calendar(f"SUMMARY:Call\nDESCRIPTION:{text}"), "a.ics").removeprefix("Subject: Call").strip()
    )


SPANISH = (
    "──────────\\nAna Gil le está invitando a una reunión de Zoom programada.\\n\\nUnirse a la reunión Zoom\\n"
    "https://us06web.zoom.us/j/845?pwd=a\\n\\nID de reunión: 845 1234 5678\\nCódigo de acceso: 482913\\n\\n---\\n\\n"
    "Móvil con un toque\\n+34917873431\\,\\,845#\\,\\,\\,\\,*482# España\\n\\n---\\n\\nMarcar según su ubicación\\n"
    "• +34 917 873 431 España\\n\\nEncuentre su número local: https://us06web.zoom.us/u/k\\n\\nUnirse mediante SIP\\n"
    "• 84512345678@zoomcrc.com\\n"
)
PORTUGUESE = (
    "Ana Souza está convidando você para uma reunião Zoom agendada.\\n\\nEntrar na reunião Zoom\\n"
    "https://us02web.zoom.us/j/899?pwd=q\\n\\nSenha de acesso: 123456\\n\\nDispositivo móvel de um toque\\n"
    "+551147009668\\,\\,899#\\,\\,\\,\\,*123456# Brasil\\n\\nDiscar pelo seu local\\n• +55 11 4700 9668 Brasil\\n"
)
JAPANESE = (
    "佐藤 花子さんがあなたを予約されたZoomミーティングに招待しています。\\n\\nZoomミーティングに参加する\\n"
    "https://us02web.zoom.us/j/8?pwd=z\\n\\nミーティングID: 812 3456 7890\\nパスコード: 123456\\n"
)
ITALIAN = (
    "Partecipa con Google Meet: https://meet.google.com/a-b-c\\nOppure componi il numero: (IT) +39 02 8732 3232 "
    "codice: 123456789#\\nAltri numeri di telefono: https://tel.meet/a-b-c?pin=1\\n\\n"
    "Scopri di più su Meet all'indirizzo: https://support.google.com/a/users/answer/9282720\\n"
)
GERMAN = (
    "-- Text nicht löschen oder ändern. --\\n\\nWenn es Zeit ist\\, treten Sie Ihrem Webex-Meeting hier bei.\\n\\n"
    "Meeting beitreten\\nhttps://acme.webex.com/j.php?MTID=m9\\n\\nWeitere Methoden zum Beitreten:\\n\\n"
    "Mit Meeting-Kennnummer beitreten\\nMeeting-Kennnummer (Zugriffscode): 2790 111 2222\\nMeeting-Passwort: xYz\\n\\n"
    "Über Telefon beitreten\\n+49-619-6781-9736 Germany Toll\\n"
)
RECORDED = (
    "-- Do not delete or change any of the following text. --\\n\\n\\nWhen it's time\\, join your Webex meeting here.\\n"
    "\\n\\nJoin meeting\\nhttps://acme.webex.com/j.php?MTID=m\\n\\nMore ways to join:\\n\\nJoin from the meeting link\\n"
    "https://acme.webex.com/j.php?MTID=m\\n\\nIMPORTANT NOTICE: Please note that this Webex service allows audio and other "
    "information sent during the session to be recorded\\, which may be discoverable in a legal matter.\\n"
)
CHIME = (
    "You have been invited to an online meeting\\, powered by Amazon Chime.\\n\\n1. Click to join the meeting: "
    "https://chime.aws/123\\nMeeting ID: 1234 56 7890\\n\\n2. You can use your computer's microphone and speakers.\\n"
    "One-click Mobile Dial-in (United States (1)): +1 206-462-5569\\,\\,123#\\nInternational: https://chime.aws/dial/\\n"
)
RINGCENTRAL = (
    "Dana Lee is inviting you to a RingCentral Video meeting\\n\\nPlease join using this link:\\n"
    "    https://v.ringcentral.com/join/123?pw=abc\\n\\nOne tap to join audio only:\\n    +16504191505\\,\\,123#\\n"
)
ONE_TOUCH = (
    "https://meet.goto.com/513\\n(For supported devices\\, tap a one-touch number below to join instantly.)\\n"
    "United States (Toll Free): 1 866 899 4679\\n- One-touch: tel:+18668994679\\,\\,513#\\n"
    "Joining from a video-conferencing room or system?\\nMeeting ID: 513-271-333\\n"
)


@pytest.mark.parametrize(
    "joining",
    [SPANISH, PORTUGUESE, JAPANESE, ITALIAN, GERMAN, RECORDED, CHIME, RINGCENTRAL, ONE_TOUCH],
    ids=[
        "spanish",
        "portuguese",
        "japanese",
        "italian",
        "german",
        "recorded",
        "chime",
        "ringcentral",
        "one-touch",
    ],
)
def test_what_one_joins_by_goes_off_whatever_the_language(joining: str) -> None:
    event = f"SUMMARY:Call\nDESCRIPTION:1. Price\\n2. Term\\n\\n{joining}\\nBring: churn numbers."
    rest = re.sub(r"\n+", "\n", text_of(calendar(event), "a.ics"))
    assert rest == "Subject: Call\n1. Price\n2. Term\nBring: churn numbers."


def test_what_stands_right_above_a_link_stays_unless_it_names_it() -> None:
    lines = [
        "Let us talk about the price",
        "https://us02web.zoom.us/j/812",
        "",
        "Ask for their password policy: who?",
    ]
    text = text_of(calendar("SUMMARY:Call\nDESCRIPTION:" + "\\n".join(lines)), "a.ics")
    assert text == "Subject: Call\n\nLet us talk about the price\n\nAsk for their password policy: who?"


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        ("Kick-off with Globex: {}", "Kick-off with Globex:"),
        ("Price talk, moved: {}", "Price talk, moved:"),
        ("Our call tomorrow ({})", "Our call tomorrow"),
        ("Where: [Zoom]({}), 10:00", "Where: Zoom, 10:00"),
        ("Price\n[Join Zoom Meeting]({})", "Price"),
        ("Price\n[{0}]({0})", "Price"),
    ],
)
def test_what_stands_beside_a_link_stays_unless_it_names_it(line: str, rest: str) -> None:
    assert text_of(line.format("https://acme.zoom.us/j/1").encode(), "notes.md") == rest


def test_what_exchange_and_zimbra_put_above_an_agenda_goes_off() -> None:
    copy = "Objet : Call\\nLieu : Salle Bleue\\n\\n*~*~*~*~*~*~*~*~*~*\\n\\n"
    assert text_of(calendar(f"SUMMARY:Call\nDESCRIPTION:{copy}Price"), "a.ics") == "Subject: Call\n\nPrice"


def test_an_answer_to_an_invitation_gives_its_comment() -> None:
    answer = calendar("SUMMARY:Call\nCOMMENT:Only if the CFO comes", method="REPLY")
    assert text_of(answer, "a.ics") == "Subject: Call\nComment: Only if the CFO comes"


def test_an_agenda_below_a_link_stays() -> None:
    lines = [
        "- Join forces on the bid",
        "- Dial back the discount talk",
        "- Learn more about their roadmap",
        "- Password: reset policy for the customer",
        "- PIN: they ask who may change it",
        "- SIP trunk for the customer",
        "Password for the deck: globex26",
        "- Start the meeting with a joke",
        "- Need help? They always say yes",
        "- 1.200.000 - 1.500.000 EUR",
        "- 01.02.2026 - 03.02.2026",
        "Find a local partner",
    ]
    assert agenda(*lines).split("\n") == lines


def test_what_other_programs_add_to_an_invitation_goes_off() -> None:
    lines = [
        "Join from PC\\, Mac\\, Linux\\, iOS or Android:",
        "Or iPhone one-tap :",
        "US: +1(773)2319226\\,\\,1234567890#",
        "Dial(for higher quality\\, dial a number based on your current location):",
        "United States: +1 346 248 7799\\, +1 408 638 0968",
        "Video Conference ID: 112 345 678 9",
        "Meeting password: abc (12345 when dialing from a phone)",
        "Vergadering-id: 345 678 901 23",
        "Klicken Sie hier\\, um an der Besprechung teilzunehmen",
        "You can join this meeting from your computer\\, tablet\\, or smartphone.",
        "Need to make changes to this event?",
        "Cancel: https://calendly.com/cancellations/abc",
        "Powered by Calendly.com",
        "If you are a host\\, click here to view host information:",
    ]
    assert agenda(*lines) == ""


@pytest.mark.parametrize(
    ("location", "place"),
    [
        ("Microsoft Teams-Besprechung\\; Raum 5", "Raum 5"),
        ("Reunión de Microsoft Teams\\; Sala 5", "Sala 5"),
        ("NYC-5 (8)\\, https://meet.google.com/a-b-c", "NYC-5 (8)"),
        ("Café\\n12 Rue de la Gare\\, Lyon", "Café, 12 Rue de la Gare, Lyon"),
    ],
)
def test_a_place_is_a_room_and_no_program(location: str, place: str) -> None:
    assert (
        text_of(calendar(f"SUMMARY:Call\nLOCATION:{location}"), "a.ics") == f"Subject: Call\nWhere: {place}"
    )


def test_a_page_that_outlook_puts_beside_an_empty_agenda_is_read() -> None:
    page = "<html><body><p class=MsoNormal>Concessions\\, never for free &amp\\; late</p></body></html>"
    event = f"SUMMARY:Lab\nDESCRIPTION: \\n\nX-ALT-DESC;FMTTYPE=text/html:{page}"
    assert text_of(calendar(event), "a.ics") == "Subject: Lab\n\nConcessions, never for free & late"


def test_one_broken_line_spoils_no_calendar() -> None:
    text = text_of(calendar("SUMMARY:Call\nDTSTART:soon\nRRULE:FREQ=NOW\nDESCRIPTION:Price"), "a.ics")
    assert text == "Subject: Call\n\nPrice"


@pytest.mark.parametrize(
    "broken",
    [
        "BEGIN:VTIMEZONE\nTZID:X\nBEGIN:STANDARD\nTZOFFSETTO:soon\nEND:STANDARD\nEND:VTIMEZONE",
        "nothing known",
        "BEGIN:VTODO\nDUE:soon\nEND:VTODO",
        "X-WR-RELCALID\u00e9:x",
    ],
    ids=["zone", "line", "task", "name"],
)
def test_one_broken_line_beside_the_events_spoils_no_calendar(broken: str) -> None:
    data = calendar(
        'SUMMARY:Call\nDTSTART:20260303T130000Z\nD\u00c9SCRIPTION:x\nDTSTART:20260303T130000Z\nX-A;B="c:d'
    ).decode()
    data = data.replace("BEGIN:VEVENT", broken.replace("\n", "\r\n") + "\r\nBEGIN:VEVENT")
    assert text_of(data.encode(), "a.ics") == "Subject: Call\nWhen: Tuesday, 3 March 2026, 13:00 (UTC)"


def test_an_agenda_that_was_not_folded_is_read() -> None:
    assert text_of(calendar("SUMMARY:Call\nDESCRIPTION:Price\n- Term and notice"), "a.ics") == (
        "Subject: Call\n\nPrice\n- Term and notice"
    )


def test_a_length_beyond_all_years_spoils_no_calendar() -> None:
    event = "SUMMARY:Call\nDTSTART:20260303T130000Z\nDURATION:P99999999D"
    assert "3 March 2026, 13:00 (UTC)" in text_of(calendar(event), "a.ics")


def test_an_old_calendar_is_read() -> None:
    kind = "ENCODING=QUOTED-PRINTABLE;CHARSET=UTF-8"
    old = calendar(f"SUMMARY;{kind}:B=C3=BCro\nDESCRIPTION;{kind}:one=0D=0At=\nwo")
    assert text_of(old, "a.ics") == "Subject: Büro\n\none\ntwo"


def test_a_page_in_an_invitation_is_read_as_words() -> None:
    text = text_of(
        calendar(f"SUMMARY:Kickoff\nDESCRIPTION:<b>Goal:</b> pilot<br><ul><li>Scope</li></ul>{MEET}"), "a.ics"
    )
    assert text == "Subject: Kickoff\n\nGoal: pilot\n\n- Scope"


def test_numbers_stay_where_no_meeting_is_joined() -> None:
    text = text_of(
        calendar("SUMMARY:Call\nDESCRIPTION:Call +49 170 1234567\\nPIN: later\\nhttps://acme.example/deck"),
        "a.ics",
    )
    assert text.endswith("Call +49 170 1234567\nPIN: later\nhttps://acme.example/deck")


def test_numbers_far_from_a_link_stay() -> None:
    notes = "Phone: +1 555 0100\nPIN: later\n\n\n\n\nNext: a demo\nhttps://acme.zoom.us/j/1\n"
    assert text_of(notes.encode(), "notes.txt") == "Phone: +1 555 0100\nPIN: later\n\nNext: a demo"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("FREQ=WEEKLY;COUNT=6;BYDAY=TU,TH", "every week on Tuesday and Thursday, 6 times"),
        (
            "FREQ=MONTHLY;INTERVAL=2;UNTIL=20261231T000000Z",
            "every 2 months, until Thursday, 31 December 2026",
        ),
        ("FREQ=MONTHLY;BYDAY=1MO", "every month on the first Monday"),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "every month on the last weekday"),
        ("FREQ=WEEKLY;BYDAY=MO,WE,FR", "every week on Monday, Wednesday and Friday"),
        ("FREQ=DAILY", "every day"),
    ],
)
def test_a_series_says_how_it_repeats(rule: str, words: str) -> None:
    text = text_of(calendar(f"SUMMARY:Weekly\nDTSTART:20260303T130000Z\nRRULE:{rule}"), "a.ics")
    assert f"Repeats: {words}\n" in text + "\n"


def test_a_series_is_told_and_never_counted_out() -> None:
    rule = "FREQ=SECONDLY;COUNT=1000000"
    text = text_of(calendar(f"SUMMARY:x\nDTSTART:20260303T130000Z\nRRULE:{rule}"), "a.ics")
    assert text.endswith("every second, 1000000 times")


def test_several_events_repeat_no_agenda() -> None:
    first = "SUMMARY:Weekly\nDTSTART:20260303T130000Z\nDURATION:PT30M\nDESCRIPTION:Numbers first"
    moved = "SUMMARY:Weekly\nDTSTART:20260306T130000Z\nDESCRIPTION:Numbers first"
    text = text_of(calendar(first, moved, "SUMMARY:Other\nSTATUS:CANCELLED\nDESCRIPTION:More"), "a.ics")
    assert text.count("Numbers first") == 1
    assert "13:00 to 13:30 (UTC)" in text
    assert "6 March 2026" in text
    assert text.endswith("Subject: Other\nStatus: cancelled\n\nMore")


def test_whole_days_and_right_to_left_are_read() -> None:
    text = text_of(
        calendar("SUMMARY:ورشة المبيعات\nDTSTART;VALUE=DATE:20260303\nDTEND;VALUE=DATE:20260305"), "a.ics"
    )
    assert text == "Subject: ورشة المبيعات\nWhen: Tuesday, 3 March 2026 to Wednesday, 4 March 2026"


def test_a_line_folded_within_a_letter_is_read() -> None:
    folded = calendar("SUMMARY:Büro").replace("ü".encode(), b"\xc3\r\n \xbc")
    assert text_of(folded, "a.ics") == "Subject: Büro"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_encodings_of_plain_files(encoding: str) -> None:
    assert (
        text_of(calendar("SUMMARY:Café über “alles”").decode().encode(encoding), "a.ics")
        == "Subject: Café über “alles”"
    )
    assert text_of("Café über “alles”\r\nzwei".encode(encoding), "a.txt") == "Café über “alles”\nzwei"


WRITTEN = {
    "Встреча с клиентом Глобекс\nЦель: продлить договор на два года, скидка не больше 10 %.": [
        "cp1251",
        "koi8_r",
        "cp866",
    ],
    "고객 미팅 메모: 글로벡스\n목표: 10% 이상 할인하지 않고 계약을 2년 연장한다.": ["cp949", "euc_kr"],
    "商談メモ：株式会社サンプル\n目的：値引きを10%以内に抑えて、契約を更新してもらう。": [
        "cp932",
        "euc_jp",
        "iso2022_jp",
    ],
    "客户会议记录：格罗贝克斯公司\n目标：在不超过百分之十的折扣下，把合同续签两年。": ["gb18030"],
    "客戶會議記錄：格羅貝克斯公司\n目標：在不超過百分之十的折扣下，把合約續簽兩年。": ["big5"],
    "Spotkanie z klientem Globex\nCel: przedłużyć umowę o dwa lata i nie dać więcej niż 10% zniżki.": [
        "cp1250",
        "iso8859_2",
    ],
    "Συνάντηση με τον πελάτη\nΣτόχος: να ανανεωθεί η σύμβαση για δύο χρόνια.": ["cp1253", "iso8859_7"],
    "Müşteriyle görüşme\nAmaç: sözleşmeyi iki yıl uzatmak ve %10’dan fazla indirim vermemek.": ["cp1254"],
    "פגישה עם הלקוח\nמטרה: לחדש את החוזה לשנתיים בלי הנחה.": ["cp1255"],
    "اجتماع مع العميل\nالهدف: تجديد العقد لمدة سنتين دون خصم كبير.": ["cp1256"],
    "Gespräch mit dem Kunden „Globex“\nZiel: höchstens 10 % Nachlass – möglichst weniger.": [
        "cp1252",
        "mac_roman",
        "utf-16-le",
        "utf-16-be",
        "utf-32-le",
        "utf-32",
    ],
}


@pytest.mark.parametrize(
    ("text", "encoding"), [(text, name) for text, names in WRITTEN.items() for name in names]
)
def test_a_text_is_read_that_says_nothing_of_its_encoding(text: str, encoding: str) -> None:
    assert text_of(text.encode(encoding), "a.txt") == text


@pytest.mark.parametrize("encoding", ["cp1251", "koi8_r", "cp866", "iso2022_jp", "cp949", "cp1250"])
def test_a_mails_head_is_in_the_encoding_of_its_body(encoding: str) -> None:
    text = next(text for text, names in WRITTEN.items() if encoding in names)
    subject, _, body = text.partition("\n")
    sent = f"Subject: {subject}\nFrom: Dana\n\n{body}"
    assert text_of(sent.encode(encoding), "a.eml") == sent


def test_what_windows_writes_is_called_latin_1_by_many() -> None:
    heads = ("Content-Type: text/plain; charset=iso-8859-1",)
    assert text_of(mail("“Nein” – 5 €", *heads, encoding="cp1252"), "a.eml").endswith("\n\n“Nein” – 5 €")


@pytest.mark.parametrize(
    "text",
    [
        "Niccolò Verità",
        "Il cliente è contento.",
        "José García",
        "Begoña Peña",
        "La réunion est à 14 h.",
        "Straße 5",
    ],
)
def test_a_few_accents_in_a_short_text_are_western(text: str) -> None:
    assert text_of(text.encode("cp1252"), "a.txt") == text


def test_accents_far_down_in_a_long_text_tell_its_encoding() -> None:
    text = (
        "They want ten per cent.\n" * 20_000
        + "Cel: przedłużyć umowę o dwa lata i nie dać więcej niż 10% zniżki."
    )
    assert text_of(text.encode("cp1250"), "a.txt") == text


# Transcripts


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "teams.vtt",
            (
                "WEBVTT\n\nb1/12-0\n00:00:03.120 --> 00:00:06.480\n<v Dana Lee>Good morning.</v>\n\nb1/12-1\n"
                "00:00:06.480 --> 00:00:09.000\n<v Dana Lee>Shall we\nbegin?</v>\n\nb1/15-0\n"
                "00:00:10.000 --> 00:00:12.000\n<v Priya Shah>The price &amp; term.</v>\n"
            ),
        ),
        (
            "zoom.vtt",
            (
                "WEBVTT\r\n\r\n1\r\n00:00:03.120 --> 00:00:06.480\r\nDana Lee: Good morning.\r\n\r\n2\r\n00:00:06.480 --> "
                "00:00:09.000\r\nDana Lee: Shall we begin?\r\n\r\n3\r\n00:00:10.000 --> 00:00:12.000\r\nPriya Shah: The price & term.\r\n"
            ),
        ),
        (
            "a.srt",
            (
                "1\n00:00:03,120 --> 00:00:06,480\n<i>Dana Lee: Good morning.</i>\n\n2\n00:00:06,480 --> 00:00:09,000\n"
                "{\\an8}Dana Lee: Shall we begin?\n\n3\n00:00:10,000 --> 00:00:12,000\nPriya Shah: The price & term.\n"
            ),
        ),
        (
            "notes.vtt",
            (
                "\ufeffWEBVTT - Weekly\n\nSTYLE\n::cue { color: red }\n\nNOTE\nnobody reads\nthis\n\n00:01.000 --> 00:04.000 "
                "line:0\n<v.loud Dana Lee>Good morning. Shall we begin?</v><v Priya Shah>The price & term.\n"
            ),
        ),
    ],
)
def test_a_transcript_is_who_says_what(name: str, text: str) -> None:
    assert (
        text_of(text.encode(), name)
        == "Dana Lee: Good morning. Shall we begin?\nPriya Shah: The price & term."
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "webex.vtt",
            'WEBVTT\n\n1 "Dana Lee" (374)\n00:00:05.549 --> 00:00:08.519\nHello.\n\n2 "Priya Shah" (375)\n00:00:08.519 --> 00:00:10.000\nHi.\n',
        ),
        (
            "own-line.srt",
            "1\n00:00:01,000 --> 00:00:04,000\nDana Lee:\nHello.\n\n2\n00:00:05,000 --> 00:00:08,000\nPriya Shah:\nHi.\n",
        ),
        (
            "brackets.srt",
            "1\n00:00:01,000 --> 00:00:04,000\n[Dana Lee] Hello.\n\n2\n00:00:05,000 --> 00:00:08,000\n(Priya Shah) Hi.\n",
        ),
        (
            "no-numbers.srt",
            "00:00:01,000 --> 00:00:04,000\nDana Lee: Hello.\n\n00:00:05,000 --> 00:00:08,000\nPriya Shah: Hi.\n",
        ),
    ],
)
def test_speakers_are_found_wherever_a_program_puts_them(name: str, text: str) -> None:
    assert re.sub(r"\n+", "\n", text_of(text.encode(), name)) == "Dana Lee: Hello.\nPriya Shah: Hi."


def cued(*lines: str, kind: str = "WEBVTT\n\n", comma: str = ".") -> bytes:
    """Captions that say one line each."""
    cues = (
        f"{at}\n00:00:0{at}{comma}000 --> 00:00:0{at}{comma}900\n{line}\n" for at, line in enumerate(lines, 1)
    )
    return (kind + "\n".join(cues)).encode()


NAMES = [
    "Raj Patel (Hooli)",
    "Dr. Omar Okafor",
    "J. P. Morgan-Smith",
    "dana",
    "BRÜCKNER",
    "佐藤花子",
    "Mary O'Neil",
]


@pytest.mark.parametrize("tight", ["佐藤:{}", "[Ana Souza]: {}"])
def test_a_speaker_is_known_by_a_colon_that_stands_close(tight: str) -> None:
    data = cued("Dana: いいえ。", tight.format("値段が高い。"))
    assert text_of(data, "a.vtt").split("\n") == [
        "Dana: いいえ。",
        re.sub("[][]", "", tight).replace(":{}", ": {}").format("値段が高い。"),
    ]


@pytest.mark.parametrize("colon", [": ", "："])
def test_names_of_many_shapes_are_speakers(colon: str) -> None:
    data = cued(*(f"{name}{colon}Yes. Two things: price and term." for name in NAMES), kind="", comma=",")
    assert text_of(data, "a.srt").split("\n") == [
        f"{name}: Yes. Two things: price and term." for name in NAMES
    ]


def test_the_beginning_of_a_sentence_is_no_speaker() -> None:
    data = cued(
        "Dana Lee: Hello.", "Priya Shah: Hm.", "So", "about the price: it is high.", "And then: silence."
    )
    assert text_of(data, "a.vtt") == (
        "Dana Lee: Hello.\nPriya Shah: Hm. So about the price: it is high. And then: silence."
    )


def test_where_every_caption_begins_with_a_name_any_name_is_one() -> None:
    names = ["Room 5.12", "P. Gibbons | Initech", "dana.lee (she/her)", "iPhone von Max", "[SPEAKER_00]"]
    said_by = [f"{name.strip('[]')}: Yes." for name in names]
    assert text_of(cued(*(f"{name}: Yes." for name in names)), "a.vtt").split("\n") == said_by


@pytest.mark.parametrize("name", ["Speaker 1\n{}|Speaker 2\n{}|Speaker 1\n{}", "(Dana Lee)\n{}|(Priya)\n{}"])
def test_a_name_on_a_line_of_its_own_is_a_speaker(name: str) -> None:
    cues = [one.format("Yes.") for one in name.split("|")]
    text = text_of(cued(*cues, kind="", comma=","), "a.srt")
    assert text.split("\n") == [one.replace("\n", ": ").replace("(", "").replace(")", "") for one in cues]


def test_words_that_come_again_are_no_speaker() -> None:
    data = cued("We are the best\nin price.", "We are the best\nin service.", "That is all.")
    assert text_of(data, "a.vtt") == "We are the best in price. We are the best in service. That is all."


def test_who_is_not_named_behind_two_arrows_is_somebody_else() -> None:
    assert text_of(cued(">> DANA: So, price.", ">> Not now.", "Later."), "a.vtt") == (
        "DANA: So, price.\n>> Not now. Later."
    )


def test_captions_that_grow_are_said_once() -> None:
    data = cued("Dana: we need", "Dana: we need ten", "Dana: we need ten per cent", "Priya: No.")
    assert text_of(data, "a.vtt") == "Dana: we need ten per cent\nPriya: No."


def test_blank_lines_between_a_captions_parts_are_none() -> None:
    srt = "1\n\n00:00:01,000 --> 00:00:02,000\n\nDana: Hello.\n\n2\n\n00:00:03,000 --> 00:00:04,000\n\nPriya: Hi.\n"
    assert text_of(srt.encode(), "a.srt") == "Dana: Hello.\n\nPriya: Hi."


@pytest.mark.parametrize("nobody", ["<v >Hm.</v>", "<v  >Hm."])
def test_what_nobody_known_said_is_put_into_no_other_mouth(nobody: str) -> None:
    said_so = "Dana Lee: Hello.\nUnknown speaker: Hm."
    assert text_of(cued("<v Dana Lee>Hello.</v>", nobody), "a.vtt") == said_so


def test_a_sign_of_comparison_is_no_tag() -> None:
    assert text_of(cued("3 < 5 and <i>a</i> <lang fr>bon mot</lang> <00:00:01.100>&lt;so&gt;"), "a.vtt") == (
        "3 < 5 and a bon mot <so>"
    )


def test_times_with_the_other_kinds_commas_are_read() -> None:
    assert (
        text_of(cued("Dana: Hello, you.", "Priya: Hi.", comma=","), "a.vtt")
        == "Dana: Hello, you.\nPriya: Hi."
    )
    assert text_of(cued("Hello.", kind=""), "a.srt") == "Hello."


def test_each_dash_begins_a_line() -> None:
    assert text_of(cued("-Who decides?\n-The CFO.", "- And when?"), "a.vtt") == (
        "-Who decides?\n-The CFO.\n- And when?"
    )


@pytest.mark.parametrize("name", ["a.vtt", "a.txt"])
def test_line_ends_that_a_program_doubled_are_one(name: str) -> None:
    data = cued("Dana: Hello.", "Priya: Hi.").replace(b"\n", b"\r\r\n")
    assert text_of(data, name) == "Dana: Hello.\nPriya: Hi."


def test_captions_that_roll_up_are_said_once() -> None:
    youtube = (
        "WEBVTT\nKind: captions\nLanguage: en\n\n00:00:00.160 --> 00:00:02.389 align:start position:0%\n \n"
        "hello<00:00:00.480><c> everyone</c>\n\n00:00:02.389 --> 00:00:02.399 align:start position:0%\nhello everyone\n \n\n"
        "00:00:02.399 --> 00:00:04.500 align:start position:0%\nhello everyone\nto<00:00:02.600><c> the</c><c> show</c>\n"
    )
    assert text_of(youtube.encode(), "auto.en.vtt") == "hello everyone to the show"


@pytest.mark.parametrize(
    "text",
    [
        "00:00:00\n \nDana Lee: Welcome.\nOmar Okafor: Hi!\n00:05:00\n \nDana Lee: Second topic at 14:00.\n",
        "[00:00:01] Dana Lee: Welcome.\n[00:00:02] Omar Okafor: Hi!\n[00:00:03] Dana Lee: Second topic at 14:00.",
        "00:00:01 Dana Lee: Welcome.\n00:00:02 Omar Okafor: Hi!\n00:00:03 Dana Lee: Second topic at 14:00.",
        "Dana Lee  0:03\nWelcome.\nOmar Okafor  0:10\nHi!\nDana Lee  1:02:10\nSecond topic at 14:00.",
        "[00:00] Dana Lee: Welcome.\n[00:05] Omar Okafor: Hi!\n[01:05] Dana Lee: Second topic at 14:00.",
        (
            "Dana Lee:\n0 minutes 3 seconds\nWelcome.\nOmar Okafor:\n0 minutes 5 seconds\nHi!\nDana Lee:\n"
            "1 hour 3 minutes 9 seconds\nSecond topic at 14:00."
        ),
        "0:00 | Dana Lee\nWelcome.\n0:12 | Omar Okafor\nHi!\n31:02 | Dana Lee\nSecond topic at 14:00.",
        (
            "### 00:00:00\nDana Lee: Welcome.\nOmar Okafor: Hi!\n### 00:05:00\nDana Lee: Second topic at 14:00.\n"
            "### Transcription ended after 00:31:14\n*This editable transcript was computer generated and might contain errors.*"
        ),
        "Dana Lee (00:00):\nWelcome.\n\nOmar Okafor (00:04):\nHi!\n\nDana Lee (01:15):\nSecond topic at 14:00.",
        "0:00 - **Dana Lee**\n  Welcome.\n0:09 - **Omar Okafor**\n  Hi!\n1:15 - **Dana Lee**\n  Second topic at 14:00.",
        (
            "Dana Lee started transcription\n\nDana Lee   0:03\nWelcome.\nOmar Okafor   0:09\nHi!\nDana Lee   1:02:15\n"
            "Second topic at 14:00.\n\nDana Lee stopped transcription"
        ),
        "[03.03.26, 14:03:11] Dana Lee: Welcome.\n03/03/2026, 14:05 - Omar Okafor: Hi!\n[03.03.26, 15:03:11] Dana Lee: Second topic at 14:00.",
        "[Dana Lee] 14:00:03\nWelcome.\n[Omar Okafor] 14:00:05\nHi!\n[Dana Lee] 14:00:09\nSecond topic at 14:00.",
    ],
    ids=[
        "meet",
        "brackets",
        "codes",
        "otter",
        "fireflies",
        "teams",
        "gong",
        "docs",
        "rev",
        "fathom",
        "teams-kept",
        "whatsapp",
        "zoom",
    ],
)
def test_a_transcript_in_a_text_file_loses_its_time_codes(text: str) -> None:
    spoken = re.sub(r":\s+", ": ", re.sub(r"\n+", "\n", text_of(text.encode(), "a.txt")))
    assert spoken == "Dana Lee: Welcome.\nOmar Okafor: Hi!\nDana Lee: Second topic at 14:00."


def test_an_agenda_keeps_its_times() -> None:
    agenda = "Welcome (9:00)\nLunch (12:30)\n\n# Workshop\n\n- 9:00 Welcome\n\n10:30\nBreak\n\nLunch 12:30\nEnd 17:00\n\n---"
    assert text_of(agenda.encode(), "agenda.md") == agenda


# Mails


def test_a_mail_gives_subject_people_date_and_words() -> None:
    heads = ("Date: Tue, 3 Mar 2026 14:00:00 +0100", "Content-Type: text/plain; charset=utf-8")
    assert text_of(mail("Bitte 15 % weniger.", *heads), "a.eml") == (
        "Subject: Renewal\nFrom: Omar Okafor\nTo: dana@acme.example\nDate: Tuesday, 3 March 2026, 14:00\n\nBitte 15 % weniger."
    )


@pytest.mark.parametrize(
    "head",
    [
        "On Mon, Mar 2, 2026 at 9:15\u202fAM Dana Lee <dana@acme.example> wrote:\n\n> ",
        "On Mon, Mar 2, 2026 at 9:15 AM Dana Lee <\ndana@acme.example> wrote:\n\n> ",
        "Am 02.03.2026 um 09:15 schrieb Dana Lee <dana@acme.example>:\n> ",
        "Le lun. 2 mars 2026 à 09:15, Dana Lee <dana@acme.example> a écrit :\n\n> ",
        "בתאריך 2 במרץ 2026 ב-9:15, Dana Lee <dana@acme.example>:\n\n> ",
        "02.03.2026 09:15, Dana Lee:\n> ",
        "Den mån 2 mars 2026 kl 09:15 skrev Dana Lee <dana@acme.example>:\n\n> ",
        "Op ma 2 mrt 2026 om 09:15 schreef Dana Lee <dana@acme.example>:\n\n> ",
        "Dana Lee <dana@acme.example>, 2 Mar 2026 Pzt, 09:15 tarihinde şunu yazdı:\n\n> ",
        "Od: Dana Lee <dana@acme.example>\nWysłano: 2 marca 2026 09:15\nDo: Omar\nTemat: Renewal\n\n",
        "От: Dana Lee <dana@acme.example>\nОтправлено: 2 марта 2026 г. 9:15\nКому: Omar\nТема: Renewal\n\n",
        "보낸 사람: Dana Lee <dana@acme.example>\n보낸 날짜: 2026년 3월 2일\n받는 사람: Omar\n제목: Renewal\n\n",
        "De: Dana Lee <dana@acme.example>\nEnviado: segunda-feira, 2 de março\nPara: Omar\nAssunto: Renewal\n\n",
        "2026年3月2日(月) 9:15 Dana Lee <dana@acme.example>:\n\n> ",
        "-----Original Message-----\nFrom: Dana Lee\nSent: Monday\nTo: Omar\nSubject: Renewal\n\n",
        "________________________________\nFrom: Dana Lee <dana@acme.example>\nSent: Monday\nTo: Omar\nSubject: Renewal\n\n",
        "发件人：Dana Lee <dana@acme.example>\n发送时间：2026年3月2日 9:15\n收件人：Omar\n主题：Renewal\n\n",
        "Von: Dana Lee <dana@acme.example>\nGesendet: Montag, 2. März 2026 09:15\nAn: Omar\nBetreff: AW: Renewal\n\n",
        "---------- Forwarded message ---------\nFrom: Dana Lee <dana@acme.example>\nDate: Mon, 2 Mar\nSubject: Renewal\nTo: Omar\n\n",
        "Gesendet: Montag, 2. März 2026 um 09:15 Uhr\nVon: Dana Lee <dana@acme.example>\nAn: Omar\nBetreff: Renewal\n\n",
        "-------- Weitergeleitete Nachricht --------\nBetreff: \tRenewal\nDatum: \tMon, 2 Mar\nVon: \tDana Lee <dana@acme.example>\nAn: \tOmar\n\n",
        "> Begin forwarded message:\n> \n> From: Dana Lee <dana@acme.example>\n> Subject: Renewal\n> Date: 2 March 2026\n> To: Omar\n> \n> ",
    ],
    ids=[
        "gmail",
        "wrapped",
        "german",
        "french",
        "hebrew",
        "dated",
        "swedish",
        "dutch",
        "turkish",
        "polish-outlook",
        "russian-outlook",
        "korean-outlook",
        "portuguese-outlook",
        "japanese",
        "original",
        "outlook",
        "chinese-outlook",
        "german-outlook",
        "forwarded",
        "gmx",
        "thunderbird",
        "apple",
    ],
)
def test_a_quoted_head_leaves_only_who_wrote(head: str) -> None:
    assert (
        said(f"They want less.\n\n{head}What do they want?")
        == "They want less.\n\nDana Lee:\n\nWhat do they want?"
    )


@pytest.mark.parametrize(
    "end",
    [
        "-- \nOmar Okafor\nSales",
        "Best regards,\n\nOmar Okafor\nAccount Executive | Acme\n+49 170 1234567\nwww.acme.example",
        "Mit freundlichen Grüßen\nOmar",
        "Gruß\nOmar",
        "Sincerely,\n\nOmar\n\nThe information contained in this communication is confidential and may be privileged. It is meant for you.",
        "Sent from my iPhone",
        "Get Outlook for iOS<https://aka.ms/o0ukef>",
        "Thanks!\nOmar\n\nThis email and any attachments are confidential and intended solely for the addressee.",
    ],
)
def test_a_signature_goes_off(end: str) -> None:
    assert said(f"They want less.\n\n{end}") == "They want less."


@pytest.mark.parametrize(
    "end",
    [
        "Mit besten Grüßen aus Hamburg\n\nOmar Okafor\nEinkauf",
        "С уважением,\nОмар Окафор",
        "此致\n王小明",
        "Bonne journée,\nOmar",
        "--------------------\nオマール\n株式会社サンプル 営業部\nTEL: 03-1234-5678\n--------------------",
        "Omar Okafor\nVP Operations | Acme\n+49 170 1234567",
        "Omar",
        "Gesendet mit der GMX Mail App",
        "Obtenir Outlook pour Android",
        "Sitz der Gesellschaft: Hamburg · HRB 12345",
        "You receive this because you follow this deal.\nUnsubscribe",
    ],
)
def test_a_signature_without_a_closing_goes_off(end: str) -> None:
    assert said(f"They want less.\n\n{end}") == "They want less."


@pytest.mark.parametrize(
    "line", ["Unsubscribe rates are high", "You received this offer in May", "Geschäftsführer: Frau Moreau"]
)
def test_words_of_a_notice_cut_no_mail(line: str) -> None:
    assert said(f"They want less.\n{line}\nWhat now") == f"They want less.\n{line}\nWhat now"


@pytest.mark.parametrize("end", ["Priya Shah\nProcurement", "Omar wants less", "Omar:", "1. Omar\n2. Dana"])
def test_other_names_at_the_end_stay(end: str) -> None:
    assert said(f"They want less.\n\n{end}") == f"They want less.\n\n{end}"


def test_answers_between_quoted_lines_are_their_writers() -> None:
    thread = "Am 02.03.26 um 9:15 schrieb Dana Lee:\n> What price?\n\nTen.\n\n> Who signs?\n\nPriya.\n\nOmar"
    assert said(thread) == (
        "Dana Lee:\n\nWhat price?\n\nOmar Okafor:\n\nTen.\n\nDana Lee:\n\nWho signs?\n\nOmar Okafor:\n\nPriya."
    )


def test_thanks_before_a_list_is_no_signature() -> None:
    assert (
        said("Agenda below\n\nThanks,\n\n1. Price\n2. Term") == "Agenda below\n\nThanks,\n\n1. Price\n2. Term"
    )


def test_flowed_lines_are_put_together() -> None:
    body = "A long line that was \nbroken by the program.\nA new one.\n-- \nOmar"
    text = text_of(mail(body, "Content-Type: text/plain; charset=utf-8; format=flowed"), "a.eml")
    assert text.endswith("\n\nA long line that was broken by the program.\nA new one.")


def test_flowed_lines_of_a_quotation_are_put_together_as_well() -> None:
    body = "Yes.\n\n> A long line that was \n> broken.\n>> An older \n> one"
    text = text_of(mail(body, "Content-Type: text/plain; charset=utf-8; format=flowed"), "a.eml")
    assert "A long line that was broken.\n" in text
    assert "An older\n" in text
    parted = mail("no bud \nget", "Content-Type: text/plain; charset=utf-8; format=flowed; delsp=yes")
    assert text_of(parted, "a.eml").endswith("\n\nno budget")


def test_what_signs_a_text_goes_off() -> None:
    signed = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nThey accept.\n- -- Ten.\n-----BEGIN PGP SIGNATURE-----\n\niQEz\n-----END PGP SIGNATURE-----\n"
    assert said(signed) == "They accept.\n-- Ten."


def test_a_line_that_a_mailbox_marks_is_no_quotation() -> None:
    data = b"From dana@acme.example Tue Mar  3 10:00:00 2026\n" + mail("Yes.\n>From May on.\nTen.")
    assert text_of(data, "a.eml").endswith("\n\nYes.\nFrom May on.\nTen.")


def parted(kind: str, *bodies: str) -> str:
    """What stays of a mail in parts, each with its head."""
    body = "".join(f"--B\n{one}\n" for one in bodies) + "--B--\n"
    heads = ("MIME-Version: 1.0", f"Content-Type: multipart/{kind}; boundary=B")
    return text_of(mail(body, *heads), "a.eml").partition("\n\n")[2]


@pytest.mark.parametrize("head", ["Cc: " + "(" * 5000, "Cc: Dana <a@b>, =?utf-8?q?"])
def test_one_broken_head_spoils_no_mail(head: str) -> None:
    assert text_of(mail("Ten.", head), "a.eml").endswith("\n\nTen.")


def test_half_a_letter_goes_off() -> None:
    heads = ("Content-Type: text/plain; charset=unicode_escape",)
    assert text_of(mail("Ten\\ud800.", *heads), "a.eml").endswith("\n\nTen.")


def test_all_parts_of_a_mail_are_read_and_of_alternatives_one() -> None:
    words, page = "Content-Type: text/plain\n\nTen.", "Content-Type: text/html\n\n<p>Or <b>nine</b>.</p>"
    assert parted("mixed", words, page) == "Ten.\n\nOr nine."
    assert parted("alternative", words, page) == "Ten."
    assert parted("alternative", page, words) == "Ten."
    assert parted("mixed", words, "Content-Type: text/html\n\n<p>Ten.</p>") == "Ten."


def test_an_invitation_in_a_mail_says_when_and_its_agenda_once() -> None:
    event = (
        calendar("SUMMARY:Call\nDTSTART:20260310T140000Z\nDESCRIPTION:Price").decode().replace("\r\n", "\n")
    )
    words, invite = "Content-Type: text/plain\n\nPrice", f"Content-Type: text/calendar\n\n{event}"
    when = "Subject: Call\nWhen: Tuesday, 10 March 2026, 14:00 (UTC)"
    assert parted("alternative", words, invite) == f"Price\n\n{when}"
    assert parted("alternative", words, "Content-Type: text/calendar\n\nbroken") == "Price"


PAGE = (
    "<html><head><style>p{margin:0}</style><title>x</title></head><body><p>The <b>café</b> wants:</p><ul><li>Scope</li>"
    "<li>Budget</li></ul><table><tr><td>Price</td><td>10</td></tr></table><div style='display:none'>hidden</div>"
    '<div class="gmail_signature">Omar<br>+49 170</div></body></html>'
)


def test_a_mail_of_a_page_only_is_read_as_words() -> None:
    body = "--B\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: base64\n\n"
    body += encodebytes(PAGE.encode()).decode() + "\n--B\nContent-Type: application/pdf\n"
    body += 'Content-Disposition: attachment; filename="x.pdf"\n\nnothing\n--B--\n'
    text = text_of(mail(body, "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=B"), "a.eml")
    assert text.partition("\n\n")[2] == "The café wants:\n\n- Scope\n- Budget\n\nPrice | 10"


def html_said(page: str) -> str:
    """What stays of a mail that is a page only."""
    return text_of(mail(page, "Content-Type: text/html; charset=utf-8"), "mail.eml").partition("\n\n")[2]


def test_a_marked_section_spoils_no_page() -> None:
    assert html_said("<p>Ten<![if !supportLists]> per<![endif]> cent <![odd[</p>").startswith("Ten per cent")


def test_a_page_has_the_lines_that_one_sees() -> None:
    assert html_said("<div>One</div><div>two<br></div><div><br></div><div>three</div><p>four</p>") == (
        "One\ntwo\n\nthree\n\nfour"
    )
    outlook = "<p class=MsoNormal>One<o:p></o:p></p><p class=MsoNormal>two</p><p class=MsoNormal>&nbsp;</p><p class=MsoNormal>three</p>"
    assert html_said(outlook) == "One\ntwo\n\nthree"


def test_a_tables_rows_are_lines_whatever_is_in_its_cells() -> None:
    cell = "<td><p class=MsoNormal>{}</p></td>"
    rows = "".join(f"<tr>{''.join(map(cell.format, row))}</tr>" for row in (("Who", "Role"), ("Dana", "AE")))
    assert (
        html_said(f"Before<table><tbody>{rows}</tbody></table>after")
        == "Before\n\nWho | Role\nDana | AE\n\nafter"
    )


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_a_head_with_letters_as_they_are_is_read(encoding: str) -> None:
    data = (
        mail("Ja", "Subject: Kündigung für März")
        .decode()
        .replace("Omar", "Jörg")
        .replace("Subject: Renewal\r\n", "")
    )
    assert text_of(data.encode(encoding), "a.eml").startswith(
        "Subject: Kündigung für März\nFrom: Jörg Okafor\n"
    )


def test_a_mail_that_says_a_wrong_encoding_is_read() -> None:
    heads = ("Content-Type: text/plain; charset=bogus-9",)
    assert text_of(mail("über", *heads, encoding="cp1252"), "a.eml").endswith("\n\nüber")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_mail_saved_with_a_mark_is_read(encoding: str) -> None:
    assert text_of(mail("über").decode().encode(encoding), "a.eml").startswith("Subject: Renewal\n")


def test_a_mail_gives_what_is_forwarded_in_it() -> None:
    body = "--B\n\nSee below\n--B\nContent-Type: message/rfc822\n\nSubject: Inner\nFrom: dana@acme.example\n\nInner words\n--B--\n"
    text = text_of(mail(body, "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=B"), "a.eml")
    assert text.endswith("See below\n\nSubject: Inner\nFrom: dana@acme.example\n\nInner words")


def test_a_forwarded_mail_in_base64_is_read() -> None:
    inner = encodebytes(b"Subject: Inner\r\n\r\nInner words").decode()
    body = f"--B\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n{inner}\n--B--\n"
    text = text_of(mail(body, "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=B"), "a.eml")
    assert text.endswith("\n\nSubject: Inner\n\nInner words")


def test_a_mail_that_is_an_invitation_only_is_read() -> None:
    body = (
        "--B\nContent-Type: text/calendar; method=REQUEST\n\n"
        + calendar("SUMMARY:Kickoff").decode()
        + "--B--\n"
    )
    heads = ("MIME-Version: 1.0", "Content-Type: multipart/alternative; boundary=B")
    assert text_of(mail(body.replace("\r\n", "\n"), *heads), "a.eml").endswith("\n\nSubject: Kickoff")


# Documents


def test_a_document_gives_headings_lists_and_tables_in_order() -> None:
    made = docx.Document()
    made.add_heading("Account plan", 1)
    made.add_paragraph("First", style="List Bullet")
    table = made.add_table(2, 2)
    for number, text in enumerate(["Who", "Role", "Dana", "AE\nsince May"]):
        table.cell(number // 2, number % 2).text = text
    table.cell(0, 0).add_table(1, 1).cell(0, 0).text = "inner"
    made.add_paragraph("مرحبا")
    assert text_of(saved(made), "Plan.DOCX") == (
        "Account plan\n- First\n\nWho inner | Role\nDana | AE since May\n\nمرحبا"
    )


def test_a_document_under_tracking_is_read_as_it_would_be_accepted() -> None:
    tracked = (
        f'<w:p xmlns:w="{WORD}"><w:r><w:t xml:space="preserve">Keep </w:t></w:r><w:ins w:id="1" w:author="x"><w:r><w:t>new'
        '</w:t></w:r></w:ins><w:del w:id="2" w:author="x"><w:r><w:delText>old</w:delText></w:r></w:del><w:sdt><w:sdtContent>'
        "<w:r><w:tab/><w:t>field</w:t></w:r></w:sdtContent></w:sdt></w:p>"
    )
    made = docx.Document()
    made.element.body.insert(0, parse_xml(tracked))
    assert text_of(saved(made), "a.docx") == "Keep new\tfield"


def test_a_text_box_stands_apart_and_hidden_text_is_left_out() -> None:
    box = (
        f'<w:p xmlns:w="{WORD}"><w:r><w:t>Before</w:t></w:r><w:r><w:txbxContent><w:p><w:r><w:t>In the box</w:t></w:r></w:p>'
        "</w:txbxContent></w:r><w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r><w:r><w:t>After</w:t></w:r></w:p>"
    )
    made = docx.Document()
    made.element.body.insert(0, parse_xml(box))
    assert text_of(saved(made), "a.docx") == "Before\nIn the box\nAfter"


def with_part(data: bytes, kind: str, inside: str) -> bytes:
    """A docx with one more part, such as `footnotes`."""
    buffer, old = io.BytesIO(), zipfile.ZipFile(io.BytesIO(data))
    relation = f'<Relationship Id="x" Type="{RELATIONS}/{kind}" Target="{kind}.xml"/></Relationships>'
    with zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            part = old.read(name)
            rels = name == "word/_rels/document.xml.rels"
            new.writestr(name, part.replace(b"</Relationships>", relation.encode()) if rels else part)
        new.writestr(f"word/{kind}.xml", f'<w:{kind} xmlns:w="{WORD}">{inside}</w:{kind}>')
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["footnote", "endnote"])
def test_a_note_stands_where_it_belongs(kind: str) -> None:
    line = f'<w:r><w:t>They want 20 %</w:t></w:r><w:r><w:{kind}Reference w:id="2"/></w:r><w:r><w:t> off.</w:t></w:r>'
    note = f'<w:{kind} w:id="2"><w:p><w:r><w:{kind}Ref/></w:r><w:r><w:t> Said the CFO.</w:t></w:r></w:p></w:{kind}>'
    data = repacked(document("a"), lambda _: main_part(f"<w:p>{line}</w:p>".encode()))
    assert text_of(with_part(data, f"{kind}s", note), "a.docx") == "They want 20 % [Said the CFO.] off."
    assert text_of(data, "a.docx") == "They want 20 % off."


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        (
            "<w:sdt><w:sdtPr><w:showingPlcHdr/></w:sdtPr><w:sdtContent><w:r><w:t>Click here</w:t></w:r></w:sdtContent></w:sdt>",
            "",
        ),
        (
            "<w:ruby><w:rt><w:r><w:t>しょうだん</w:t></w:r></w:rt><w:rubyBase><w:r><w:t>商談</w:t></w:r></w:rubyBase></w:ruby>",
            "商談",
        ),
        ('<w:r><w:rPr><w:vanish w:val="0"/></w:rPr><w:t>seen</w:t></w:r>', "seen"),
        (
            '<m:oMath xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"><m:r><m:t>8 %</m:t></m:r></m:oMath>',
            "8 %",
        ),
    ],
    ids=["placeholder", "ruby", "shown", "formula"],
)
def test_a_document_says_what_one_sees(inside: str, text: str) -> None:
    data = repacked(
        document("a"), lambda _: main_part(f"<w:p><w:r><w:t>Goal:</w:t></w:r>{inside}</w:p>".encode())
    )
    assert text_of(data, "a.docx") == f"Goal:{text}"


def body_said(inside: str) -> str:
    """What is read of a document's body."""
    return text_of(repacked(document("a"), lambda _: main_part(inside.encode())), "a.docx")


def test_paragraphs_whose_parting_was_deleted_are_one() -> None:
    deleted = '<w:pPr><w:rPr><w:del w:id="1"/></w:rPr></w:pPr>'
    gone = f"<w:p>{deleted}<w:del><w:r><w:delText>gone</w:delText></w:r></w:del></w:p>"
    first = f"<w:p>{deleted}<w:r><w:t>joined</w:t></w:r></w:p>"
    assert (
        body_said(f'{gone}{first}<w:p><w:r><w:t xml:space="preserve"> again</w:t></w:r></w:p>')
        == "joined again"
    )


def test_only_what_is_in_a_list_has_a_bullet() -> None:
    numbered = '<w:p><w:pPr>{}<w:numPr><w:numId w:val="{}"/></w:numPr></w:pPr><w:r><w:t>{}</w:t></w:r></w:p>'
    heading = '<w:pStyle w:val="Heading1"/>'
    lines = (
        numbered.format(heading, 1, "Goal") + numbered.format("", 1, "one") + numbered.format("", 0, "none")
    )
    assert body_said(lines) == "Goal\n- one\nnone"


def test_a_table_of_contents_is_left_out_by_its_style() -> None:
    line = '<w:p><w:pPr><w:pStyle w:val="TOC1"/></w:pPr><w:r><w:t>Goal</w:t><w:tab/><w:t>3</w:t></w:r></w:p>'
    assert body_said(f"{line}<w:p><w:r><w:t>Goal</w:t></w:r></w:p>") == "Goal"


@pytest.mark.parametrize(
    "kind",
    [
        b"application/vnd.ms-word.document.macroEnabled.main+xml",
        b"application/vnd.openxmlformats-officedocument.wordprocessingml.template.main+xml",
    ],
    ids=["macros", "template"],
)
def test_words_other_kinds_of_document_are_read(kind: bytes) -> None:
    usual = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    data = repacked(document("Plan"), lambda part: part.replace(usual, kind), part="[Content_Types].xml")
    assert kind in zipfile.ZipFile(io.BytesIO(data)).read("[Content_Types].xml")
    assert text_of(data, "a.docx") == "Plan"


def test_a_table_of_contents_is_left_out() -> None:
    gallery = '<w:sdtPr><w:docPartObj><w:docPartGallery w:val="Table of Contents"/></w:docPartObj></w:sdtPr>'
    line = "<w:p><w:r><w:t>Goal</w:t><w:tab/><w:t>3</w:t></w:r></w:p>"
    contents = (
        f"<w:sdt>{gallery}<w:sdtContent>{line}</w:sdtContent></w:sdt><w:p><w:r><w:t>Goal</w:t></w:r></w:p>"
    )
    assert text_of(repacked(document("a"), lambda _: main_part(contents.encode())), "a.docx") == "Goal"


def test_a_strict_document_is_read() -> None:
    strict, old = io.BytesIO(), zipfile.ZipFile(io.BytesIO(document("Plan")))
    with zipfile.ZipFile(strict, "w") as new:
        for name in old.namelist():
            part = old.read(name)
            for known, other in {
                b"http://schemas.openxmlformats.org/wordprocessingml/2006/main": b"http://purl.oclc.org/ooxml/wordprocessingml/main",
                b"http://schemas.openxmlformats.org/officeDocument/2006/relationships": b"http://purl.oclc.org/ooxml/officeDocument/relationships",
            }.items():
                part = part.replace(known, other)
            new.writestr(name, part)
    assert text_of(strict.getvalue(), "a.docx") == "Plan"


def test_a_transcript_in_a_document_loses_its_time_codes() -> None:
    data = document("3 March 2026, 14:00", "Dana Lee   0:03\nGood morning.", "Priya Shah   0:12\nThe price.")
    assert text_of(data, "a.docx") == "3 March 2026, 14:00\nDana Lee:\nGood morning.\nPriya Shah:\nThe price."


def test_a_pdf_gives_its_pages() -> None:
    assert text_of(pdf("Account plan\nGoal: renew, café", "Second page"), "a.pdf") == (
        "Account plan\nGoal: renew, café\n\nSecond page"
    )


def test_what_stands_around_each_page_is_no_text() -> None:
    pages = [
        f"ACME - CONFIDENTIAL\nDeal {n}\nSame words\nPrice\n{n}0\nacme.example\nPage {n} of 3"
        for n in (1, 2, 3)
    ]
    kept = (f"Deal {n}\nSame words\nPrice\n{n}0" for n in (1, 2, 3))
    assert text_of(pdf(*pages), "a.pdf") == "\n\n".join(kept)
    printed = "Plan\n1\nTotal\n1200\n11/25/26, 10:44 AM\nhttps://acme.example/plan 1/1"
    assert text_of(pdf(printed), "a.pdf") == "Plan\n1\nTotal\n1200"


def test_a_word_that_a_pdf_breaks_is_one() -> None:
    text = "The nego-\ntiation of Preis-\nund Laufzeit with the PRE-\nSALES team, 2026-\n27"
    assert text_of(pdf(text), "a.pdf") == text.replace("nego-\n", "nego")


def test_a_compound_that_a_pdf_breaks_keeps_its_hyphen() -> None:
    assert text_of(pdf("a state-of-the-\nart offer"), "a.pdf") == "a state-of-the-art offer"


def placed(*pieces: tuple[int, int, str]) -> bytes:
    """A PDF with each piece of text put to its place by itself."""
    drawn = "".join(f"BT /F1 12 Tf 14 TL {x} {y} Td ({text}) Tj T* ET " for x, y, text in pieces)
    return pdf("", stream=zlib.compress(drawn.encode()))


def test_pieces_of_text_in_one_row_are_a_line() -> None:
    cells = [(50, 700, "Item"), (200, 700, "Price"), (50, 680, "Licence"), (200, 680, "1,200")]
    letters = [(50 + 8 * at, 660, letter) for at, letter in enumerate("Plan")]
    counted = [(50, 640, "1."), (80, 640, "Renew"), (50, 620, "Left"), (50, 600, "below")]
    lines = ["Item | Price", "Licence | 1,200", "Plan", "1. Renew", "Left", "below"]
    assert text_of(placed(*cells, *letters, *counted), "a.pdf").split("\n") == lines


def test_bullets_without_their_lines_go_off() -> None:
    pieces = [(50, 700, "\\225"), (50, 680, "Price"), (50, 660, "\\225"), (50, 640, "\\225")]
    assert text_of(placed(*pieces), "a.pdf") == "• Price"


def changed(data: bytes, change: Callable[[pypdf.PdfWriter], None]) -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(data))
    change(writer)
    writer.write(buffer := io.BytesIO())
    return buffer.getvalue()


def pdf_object(
    writer: pypdf.PdfWriter, text: str, stream: bytes | None = None
) -> pypdf.generic.IndirectObject:
    made = pypdf.generic.read_object(io.BytesIO(text.encode()), writer)
    if stream is not None:
        made = pypdf.generic.StreamObject()
        made.set_data(stream)
    return writer._add_object(made)


def test_a_font_that_brings_its_encoding_along_is_read() -> None:
    codes = (
        b"begincmap\n1 begincodespacerange\n<0000> <ffff>\nendcodespacerange\n2 begin%b\n%b\nend%b\nendcmap"
    )

    def own(writer: pypdf.PdfWriter) -> None:
        name = pypdf.generic.NameObject
        font = writer.pages[0]["/Resources"]["/Font"]["/F1"]
        font[name("/Subtype")] = name("/Type0")
        letters = codes % (b"bfchar", b"<13b4> <0041>\n<13b5> <0042>", b"bfchar")
        font[name("/ToUnicode")] = pdf_object(writer, "null", letters)
        numbers = codes % (b"cidchar", b"<13b4> 5044\n<13b5> 5045", b"cidchar")
        font[name("/Encoding")] = pdf_object(writer, "null", numbers)

    data = pdf("", stream=zlib.compress(b"BT /F1 12 Tf 50 700 Td <13b413b5> Tj ET"))
    assert text_of(changed(data, own), "a.pdf") == "AB"


def test_what_was_filled_into_a_pdf_is_read() -> None:
    fields = [
        "/FT /Tx /T (customer) /V (Hooli GmbH)",
        "/FT /Ch /T (stage) /V (Negotiation)",
        "/FT /Btn /T (agreed) /V /Yes",
        "/FT /Btn /T (signed) /V /Off",
    ]

    def fill(writer: pypdf.PdfWriter) -> None:
        name, place = pypdf.generic.NameObject, "/Type /Annot /Subtype /Widget /Rect [0 0 9 9]"
        made = pypdf.generic.ArrayObject(pdf_object(writer, f"<< {field} {place} >>") for field in fields)
        writer.root_object[name("/AcroForm")] = pypdf.generic.DictionaryObject({name("/Fields"): made})

    text = text_of(changed(pdf("Customer:"), fill), "a.pdf")
    assert text == "Customer:\n\ncustomer: Hooli GmbH\nstage: Negotiation\nagreed: yes"


def test_a_pdf_that_anybody_may_read_is_read() -> None:
    assert text_of(locked(""), "a.pdf") == "Secret plan"


def test_content_says_the_kind_where_the_name_does_not() -> None:
    assert text_of(calendar("SUMMARY:Kickoff"), "invite") == "Subject: Kickoff"
    assert text_of(pdf("Plan"), "plan") == "Plan"
    assert text_of(b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n", "a.txt") == "Hello"
    assert text_of(b"1\n00:00:01,000 --> 00:00:02,000\nHello\n", "a.vtt") == "Hello"


def test_what_has_neither_a_names_ending_nor_a_known_content_is_not_known() -> None:
    for data in (PNG, zipped("xl/workbook.xml"), OLE):
        with pytest.raises(UnknownKind):
            text_of(data, "attachment")


# Refused

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 4
ENTITIES = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + b"".join(
    b'<!ENTITY %c "%b">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9)
)
FILE = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
PARAGRAPH = b"<w:p><w:r><w:t>%b</w:t></w:r></w:p>"
LOOP = pdf("a", "b").replace(b"/Kids [3 0 R 5 0 R]", b"/Kids [6 0 R 6 0 R]")
NESTED = (
    b"%PDF-1.4\n1 0 obj\n"
    + b"[" * 200_000
    + b"]" * 200_000
    + b"\nendobj\ntrailer << /Root 1 0 R >>\nstartxref\n9\n%%EOF"
)


def zipped(name: str) -> bytes:
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:
        archive.writestr(name, "<x/>")
    return buffer.getvalue()


def lying(data: bytes, part: bytes = b"word/document.xml") -> bytes:
    """A zip file that says of one part that it is small."""
    changed = bytearray(data)
    for mark, size, name in ((b"PK\x03\x04", 22, 30), (b"PK\x01\x02", 24, 46)):
        at = changed.find(mark)
        while at >= 0:
            if changed[at + name : at + name + len(part)] == part:
                changed[at + size : at + size + 4] = struct.pack("<I", 1000)
            at = changed.find(mark, at + 4)
    return bytes(changed)


def overlapping(count: int) -> bytes:
    """A zip file whose many parts are all the same bytes."""
    name, raw = b"word/document.xml", bytes(1_000_000)
    packed = zlib.compress(raw, 9, -15)
    sizes = struct.pack("<IIIH", zlib.crc32(raw), len(packed), len(raw), len(name))
    part = b"PK\x03\x04" + struct.pack("<5H", 20, 0, 8, 0, 0) + sizes + bytes(2) + name + packed
    entry = b"PK\x01\x02" + struct.pack("<6H", 20, 20, 0, 8, 0, 0) + sizes + bytes(16) + name
    end = struct.pack("<4H2IH", 0, 0, count, count, len(entry) * count, len(part), 0)
    return part + entry * count + b"PK\x05\x06" + end


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.docx", lying(repacked(document("a"), lambda _: main_part(PARAGRAPH % (b"a" * 9**8)))), "broken"),
        (
            "a.pdf",
            b"%PDF-1.4\nxref\n0 999999999\ntrailer << /Size 9 /Root 1 0 R >>\nstartxref\n9\n%%EOF",
            "broken",
        ),
        ("a.txt", b" \r\n", "empty"),
        ("a.pdf", b"", "empty"),
        ("a.pdf", pdf(""), "no_text"),
        ("a.docx", document(), "no_text"),
        ("a.ics", calendar(), "no_text"),
        ("a.vtt", b"WEBVTT\n\nNOTE nothing\n", "no_text"),
        ("a.docx", pdf("Plan"), "mislabelled"),
        ("a.pdf", document("Plan"), "mislabelled"),
        ("a.txt", document("Plan"), "mislabelled"),
        ("a.docx", OLE, "mislabelled"),
        ("a.docx", zipped("xl/workbook.xml"), "mislabelled"),
        ("a.docx", b"just words", "mislabelled"),
        ("a.pdf", b"just words", "mislabelled"),
        ("a.ics", b"just words", "mislabelled"),
        ("a.vtt", b"just words", "mislabelled"),
        ("a.srt", b"just words", "mislabelled"),
        ("a.eml", b"just words", "mislabelled"),
        ("a.txt", PNG, "mislabelled"),
        ("a.md", b"MZ\x90\x00\x03" + bytes(200), "mislabelled"),
        ("a.txt", b"{\\rtf1 words}", "mislabelled"),
        ("a.pdf", locked("secret"), "encrypted"),
        ("a.docx", OLE + "EncryptedPackage".encode("utf-16-le"), "encrypted"),
        ("a.eml", mail("MIAGCSqGSIb3", "Content-Type: application/pkcs7-mime"), "encrypted"),
        ("a.eml", mail("-----BEGIN PGP MESSAGE-----\n\nhQEMA\n-----END PGP MESSAGE-----"), "encrypted"),
        ("a.docx", document("Plan")[:9000], "broken"),
        ("a.pdf", pdf("Plan")[:200], "broken"),
        ("a.pdf", LOOP, "broken"),
        ("a.pdf", NESTED, "broken"),
        ("a.pdf", pdf("a", stream=zlib.compress(bytes(300_000_000), 9)), "broken"),
        (
            "a.docx",
            repacked(document("a"), lambda _: main_part(PARAGRAPH % b"&j;", ENTITIES + b"]>")),
            "broken",
        ),
        (
            "a.docx",
            repacked(document("a"), lambda _: main_part(b"<w:sdt>" * 10**6 + b"</w:sdt>" * 10**6)),
            "broken",
        ),
    ],
)
def test_a_file_without_text_says_why(name: str, data: bytes, reason: str) -> None:
    with pytest.raises(NoText) as refused:
        text_of(data, name)
    assert (refused.value.reason, refused.value.status) == (reason, 422)


@pytest.mark.parametrize(
    "name",
    [
        "a.doc",
        "a.xlsx",
        "a.png",
        "a.html",
        "a.exe",
        "a.txt.zip",
        "a.t\x00xt",
        "a.\ud800",
        "a." + "x" * 300_000,
    ],
    ids=lambda name: ascii(name)[:16],
)
def test_a_kind_that_is_not_known_is_refused_unread(name: str) -> None:
    with pytest.raises(UnknownKind):
        text_of(document("Plan"), name)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.ics", calendar("SUMMARY:Call\nDESCRIPTION:" + "a" * 1_100_000)),
        ("a.vtt", b"WEBVTT\n\n00:01.000 --> 00:02.000\n" + b"a" * 1_100_000),
        ("a.docx", repacked(document("a"), lambda _: main_part(PARAGRAPH % (b"a" * 120_000_000)))),
        ("a.txt", b"a" * 6_000_000),
        ("a.md", b"a " * 5_000_000),
        ("a.docx", overlapping(200)),
    ],
    ids=["calendar", "captions", "inflated", "text", "line", "overlapping"],
)
def test_a_file_too_large_is_refused(name: str, data: bytes) -> None:
    with pytest.raises(TooLarge):
        text_of(data, name)


def test_a_document_reads_no_file_of_ours() -> None:
    data = repacked(document("a"), lambda _: main_part(PARAGRAPH % b"Plan &a;", FILE))
    assert text_of(data, "a.docx") == "Plan"


def test_what_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "slow.py"
    script.write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(files, "SCRIPT", script)
    monkeypatch.setattr(files, "PATIENCE", 0.2)
    with pytest.raises(NoText) as refused:
        text_of(b"words", "a.txt")
    assert refused.value.reason == "broken"


def test_the_reader_is_given_nothing_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "tell.py"
    script.write_text("import json, os\nprint(json.dumps({'text': str(sorted(os.environ))}))\n")
    monkeypatch.setattr(files, "SCRIPT", script)
    monkeypatch.setenv("EXEC_API_KEY", "exec_live_x")
    assert set(re.findall(r"\w+", text_of(b"words", "a.txt"))) <= {"LC_CTYPE"}


LIMITS = """
import resource, runpy
runpy.run_path({path!r}, run_name='limits')['limit']()
try:
    bytearray(300_000_000)
except MemoryError:
    print('no memory')
try:
    with open({file!r}, 'wb', 0) as file:
        file.write(b'x')
except OSError:
    print('no disk')
print(resource.getrlimit(resource.RLIMIT_CPU)[1], 'seconds')
"""


def test_the_reader_can_take_neither_memory_nor_disk_nor_time(tmp_path: Path) -> None:
    code = LIMITS.format(path=str(files.SCRIPT), file=str(tmp_path / "x"))
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=True)
    assert done.stdout.split(b"\n")[:3] == [b"no memory", b"no disk", b"5 seconds"]


HOLD = """
import sys, time
from webapp import files
with files._in_turn():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_files_are_read_at_a_time_on_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "QUEUE", 0.1)
    command = [sys.executable, "-c", HOLD]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as other:
        assert other.stdout
        assert other.stdout.readline() == b"held\n"
        assert text_of(b"words", "a.txt") == "words"
        with files._in_turn(), pytest.raises(Busy):
            text_of(b"words", "a.txt")
        other.communicate(b"")
    assert text_of(b"words", "a.txt") == "words"
