"""What one joins a meeting by: links, codes and numbers, which go off in whatever language they are."""

import re
from collections.abc import Iterator
from urllib.parse import unquote

from .marks import LISTED, QUOTED

ADDRESS = re.compile(r"<?\[?(?:https?://|tel:|sips?:|www\.)[^\s<>\]]+\]?>?", re.IGNORECASE)
LINK = re.compile(  # as Markdown writes it, or in brackets, or bare
    rf"\[(?P<words>[^\]\n]{{0,100}})\]\(https?://[^\s)]{{1,2000}}\)|\(https?://[^\s()]{{1,2000}}\)|{ADDRESS.pattern}",
    re.IGNORECASE,
)
MEETING_HOSTS = re.compile(
    r"(?i)teams\.(?:microsoft|live)\.com|dialin\.|aka\.ms/|\bzoom(?:gov)?\.(?:us|com)|meet\.google\.com|tel\.meet"
    r"|webex\.com|goto(?:meeting|meet)?\.(?:com|me)|meet\.jit\.si|whereby\.com|chime\.aws|facetime\.apple\.com"
    r"|join\.skype\.com|meet\.lync\.com|bluejeans\.com|ringcentral\.com|8x8\.vc|dialpad\.com/|telemost\.yandex|meeting\.tencent\.com|voovmeeting\.com|vc\.(?:feishu\.cn|larksuite\.com)|calendly\.com/(?:events|cancellations|reschedulings)|support\.google\.com/a/users|^<?\[?(?:tel|sips?):"
)
VALUE = (
    r"(?:\ ?\([^)]{0,40}\))?[\W\d]{0,60}\S{0,40}"  # a number or one word: what is longer is said to people
)
THINGS = (
    r"\b(?:meeting|zoom|teams|webex|meet|call|conversation|link|phone|computer|app|device|web|browser|system|sip|h\.?323|audio|instructions|pc|lync|skype"
    r"|réunion|ordinateur|téléphone|vidéo|appel|navigateur|reunión|equipo|teléfono|llamada|besprechung)\b"
)
MACHINERY = re.compile(
    rf"""(?ix)[\W_]*(?:
    microsoft\ teams(?:\ meeting|-besprechung)?(?:\ need\ help\?)? | réunion\ microsoft\ teams | need\ help\?(?:\ go\ to\b.*)? | benötigen\ sie\ hilfe\?
    | (?:join|rejoindre|únete|unirse|click\ here\ to\ join|tap\ to\ join|hier\ klicken)\W* | join\ (?:now|here)
    | (?:join|click\ here\ to\ join|tap\ to\ join|when\ it's\ time,\ join|to\ join\ the|rejoindre|únete|unirse|ingresar|hier\ klicken|klicken\ sie\ hier|cliquez\ ici|haga\ clic)\b.{{0,40}}{THINGS}.{{0,80}}
    | (?:jetzt\ )?an\ der\ besprechung\ teilnehmen
    | (?:web)?(?:meeting|webinar|conference|video|(?:phone|video)\ conference|besprechungs-|telefonkonferenz-)[ -]?(?:id|number|link|kennung)\b{VALUE}
    | meeting\ (?:chairperson\ )?(?:password|pin)\b{VALUE}(?:\ .{{0,20}}when\ dialing\b.*|\ \([^)]{{0,40}}\))? | [^:：\n]{{0,40}}(?<![a-z])id(?![a-z])[^:：\n]{{0,30}}[:：][\W\d]{{9,40}} | meeting-?id\b{VALUE} | id\ de\ (?:la\ )?réunion\b{VALUE} | vidéo\ id\b{VALUE}
    | (?:pass(?:code|word)|kennwort|kenncode|code\ secret|access\ code|zugangscode|host\ key|tenant\ key|mandantenschlüssel|pin)\ ?(?:\([^)]{{0,40}}\))?\ ?:{VALUE}
    | .{{0,160}}\bpin\b[^:\n]{{0,20}}:\ ?\d[\d\ ]{{2,20}}\# | one\ tap\ mobile.* | or\ (?:iphone|telephone)\b.{{0,20}} | otherwise,\ to\ join\ by\ phone.* | to\ view\ more\ phone\ numbers.* | dial(?:[ -]?in)?(?:\ ?\(.{{0,90}}|[\W\d]*(?:[\w.]{{0,30}}@[\w.]{{1,60}})?|\ (?:by|in|from|your|using|sip|numbers?|info|details)\b.{{0,90}}) | per\ telefon\ einwählen.*
    | or\ (?:dial|call)\b.{{0,90}} | call-in\b.{{0,60}} | call\ in\ \(.{{0,60}} | (?:find|lokale?)\ (?:a|your)?\ ?(?:local\ )?(?:number|nummer).*
    | (?:more|global|additional|international)\ (?:phone|call-in|dial-in|access)\ ?numbers?\b.* | international\ numbers.* | toll[ -]free.* | globale\ einwahlnummern.* | \(for\ supported\ devices,\ tap\b.* | joining\ from\ a\ video-conferencing\ room\b.*
    | for\ organizers.* | für\ organisatoren.* | meeting\ options.* | besprechungsoptionen.* | options\ de\ réunion.* | reset\ (?:dial-in\ )?pin.*
    | learn\ more(?:\ about\ meet\b.{{0,90}}|\ ?\|.{{0,90}})? | weitere\ infos(?:\ ?\|.*)? | alternate\ vtc\b.{{0,60}}
    | (?:you\ can\ also\ dial|view\ more\ ways\ to\ join|please\ do\ not\ edit\ this\ section|more\ joining\ options|video\ call\ link|google\ meet\ joining\ info).*
    | please\ join\ my\ meeting.* | get\ the\ app\ now.* | view\ meeting\ insights.* | (?:more\ info|org\ help|privacy\ and\ security|system\ reference)(?:\W+\w+){{0,3}}
    | composer\ le\ numéro.* | trouver\ un\ numéro.* | id\ de\ conférence\b{VALUE} | pour\ les\ organisateurs.* | vous\ avez\ besoin\ d.aide.*
    | id\.?\ de\ (?:la\ )?reunión\b{VALUE} | código\ de\ acceso\b{VALUE} | marcar\ (?:por|según|desde)\b.* | ¿?necesitas?\ ayuda.* | buscar\ un\ número.* | para\ organizadores.*
    | do\ not\ delete\ or\ change\b.* | if\ you\ are\ a\ host,\ click\b.{{0,60}} | .{{0,80}}\binvites\ you\ to\ (?:join\ )?(?:this|a)\ webex\ meeting.*
    | .{{0,80}}\bis\ inviting\ you\ to\ a\ (?:scheduled\ zoom|ringcentral\ video)\ meeting.*
    | you\ have\ been\ invited\ to\ an\ online\ meeting\b.* | (?:\d\.\ )?you\ can\ use\ your\ computer's\ microphone\b.* | (?:sip|h\.?323)(?:\W+(?=\S*[\d@])\S{{1,60}})?(?:\ \([^)]{{0,40}}\))?
    | zoom(?:\ meeting)? | google\ meet | video\ call | facetime
    | location:\ this\ is\ a\b.{{0,40}}\bconference.* | you\ can\ join\ this\ meeting\ from\b.{{0,80}} | need\ to\ make\ changes\ to\ this\ event.* | (?:cancel|reschedule): | powered\ by\ calendly.*
    )[\W_]*"""
)
DIALLED = re.compile(
    r"(?=.{0,80}[+#]|\D{0,40}(?:1[ -])?(?:\d{3}[ .-]){2}\d{4}\b|\D{0,40}(?:\d{1,3}\.){3}\d|\W{0,9}(?:\d{6,20}@|(?:tel|phone|mobile)\b))(?i:[\W_]*(?:(?:tel|phone|mobile|telefon)\b\W*|[^\W\d][\w .()'-]{0,60}:\s*(?=\+|1[ -]\(?\d{3}))?(?:\([A-Z]{2}\)\s*)?\+?\d[\d\s().,/*#+-]{6,}\D{0,60}(?:#.*)?)"
)
FAR = 40  # lines after a link for joining; no invitation is longer
FRAME = re.compile(r"(?:>\s?)*(?:_{60,}|-::~[:~]{20,}-?|[~:\-]{30,})")
RULES = re.compile(r"[-_~=*:.…─━—\s]{3,}")
# What these programs say in whatever language: by where it stands, and by the words that no sentence does without.
CODE_WORDS = (
    "pass(?:code|wor[dt])|contraseña|código|senha|mot de passe|code (?:secret|d'accès)|codice|kenncode|zugriffscode"
    "|wachtwoord|toegangscode|hasło|kod dostępu|heslo|jelszó|parola|şifre|lösenord|adgangskode|passord|salasana"
    "|пароль|идентификатор|код доступа|パスコード|パスワード|密码|密碼|암호|비밀번호|סיסמה|رمز المرور|kennnummer|会议号|會議號|회의 ?번호"
)
MEETING_WORDS = (
    r"zoom|webex|\bteams\b|google meet|meeting|réunion|reuni[óã]o?n?\b|riunione|besprechung|vergadering|spotkani|schůzk"
    "|möte|møte|kokou|встреч|конференци|ミーティング|会議|会议|會議|회의|toplantı|פגישה|اجتماع"
)
JOIN_WORDS = (
    r"\bjoin|unir|únete|ingres|entrar|partecip|deelnem|beitret|teilnehm|rejoind|particip|dołącz|připoj|anslut|delta\b|deltag"
    "|bli med|liity|присоедин|войти|参加|加入|참가|참여|katıl|הצטרף|انضم"
)
NUMBER_WORDS = r"n[uúù]mer|numér|number|nummer|telefo|téléphon|номер|番号|号码|번호|einwahl|one-touch|\blink\b|google|\bmeet\b|\bsip\b|international|help|hilfe"
INVITE_WORDS = "invit|lädt|convid|nodigt|zapras|приглаша|招待|邀请|邀請|초대|davet"
PLANNED = "schedul|program|agend|geplan|planif|pianific|zaplan|запланир|安排|予約|予定|예약|planlan"
JOINING_CODE = re.compile(
    rf"(?i)[^:：\n]{{0,50}}(?:{CODE_WORDS})(?!\w*\s(?:for|to|für|pour|para|per|voor)\b)[^:：\n]{{0,30}}[:：]\s?(?:[\W\d]{{4,40}}|(?=\S*\d)\S{{3,40}}|(?=[a-z]*[A-Z])\w{{3,20}})"
)
CALLED_IN = re.compile(r".{0,80}\+\d[\d ()-]{6,24}\D{2,40}[:：]\s?\d[\d ]{2,20}#.{0,5}")
INVITED = re.compile(
    rf"(?i)(?=.*(?<![a-z])(?:zoom|webex|teams))(?=.*(?:{INVITE_WORDS}))(?=.*(?:{PLANNED})).{{10,160}}"
    r"|.{0,60}\bwebex\b.{0,40}\b(?:here|hier bei|aquí|ici|qui)\W*|-{2,}\s.{5,90}\s-{2,}"
)
RECORDED = re.compile(
    r"(?i).{0,60}:.{0,80}\bwebex\b.{0,200}(?:\brecord|aufge?zeichn|enregistr|\bgraba|registra|gravad|録音|录制).*"
)


def joined_off(text: str) -> str:
    """Return the text without the links, codes and numbers that one joins a meeting by.

    The lines about them go only near such a link or sentence: elsewhere they may be the matter.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    if not any(is_joining(line) for line in lines):
        return text
    lines = list(without_blocks(lines))
    marks = [at for at, line in enumerate(lines) if is_joining(line)]
    rests = [LINK.sub(without_address, line) for line in lines]
    gone, last = [False] * len(lines), -FAR
    for at, line in enumerate(lines):
        while marks and marks[0] <= at:
            last = marks.pop(0)
        ahead = marks[0] - at if marks else FAR
        invited = ahead <= 8 and INVITED.fullmatch(QUOTED.sub("", line))
        known = is_machinery(line, rests[at], after=at - last < FAR, before=ahead <= 4)
        gone[at] = bool(line.strip()) and bool(known or invited)
    for at in reversed(range(len(lines) - 1)):
        gone[at] = gone[at] or is_caption(lines, rests, gone, at)
    return "\n".join(rest for rest, off in zip(rests, gone, strict=True) if not off)


def without_address(link: re.Match[str]) -> str:
    """Return what a link says in words, if one joins a meeting by it, else the link."""
    words = link["words"] or ""
    return link[0] if not is_joining(link[0]) else "" if is_joining(words) else words


def is_machinery(line: str, rest: str, *, after: bool, before: bool) -> bool:
    """Whether nothing of a line is worth keeping; `rest` is what stays without its links."""
    bare = QUOTED.sub("", rest)
    if len(bare) > LONGEST_MACHINERY:
        return False
    if rest != line and (not re.search(r"\w{3}", bare) or is_label(bare)):
        return True
    near = MACHINERY.fullmatch(bare) or RULES.fullmatch(bare) or CALLED_IN.fullmatch(bare)
    below = DIALLED.fullmatch(bare) or JOINING_CODE.fullmatch(bare) or RECORDED.fullmatch(bare)
    return bool(bare.strip() and (((after or before) and near) or (after and below)))


LONGEST_MACHINERY = 1000  # code points
LABEL = re.compile(r"\W*(?:\d[.)]\s)?[^.!?:：\n]{3,70}[:：]\W*")


def is_label(text: str) -> bool:
    """Whether what stays before a link says only what it is for; "Kick-off with Globex:" is a subject."""
    meeting = MEETING.search(text)
    named = (meeting and JOIN.search(text)) or NUMBERS.search(text)
    short = meeting and len(re.findall(r"\w+", text)) <= 2
    return bool(LABEL.fullmatch(text) and (named or short))


def is_caption(lines: list[str], rests: list[str], gone: list[bool], at: int) -> bool:
    """Whether a line only names the links, codes or numbers right below it, which go off."""
    bare, below = QUOTED.sub("", rests[at]).strip(), QUOTED.sub("", rests[at + 1]).strip()
    first = at == 0 or not QUOTED.sub("", lines[at - 1]).strip()
    if not first or not CAPTION.fullmatch(bare) or LISTED.match(bare):
        return False
    if gone[at + 1]:
        numbers = bool(below) and DIALLED.fullmatch(below)
        return bool(numbers or (JOIN.search(bare) and (MEETING.search(bare) or bare.endswith(":"))))
    following = next((n for n in range(at + 1, len(lines)) if lines[n].strip()), at)
    return bool(bare.endswith(":") and JOIN.search(bare) and gone[following])


CAPTION = re.compile(r"[^\d.!?,;\n]{4,90}")
MEETING, JOIN, NUMBERS = (re.compile(f"(?i){words}") for words in (MEETING_WORDS, JOIN_WORDS, NUMBER_WORDS))


def without_blocks(lines: list[str]) -> Iterator[str]:
    """Leave out what Teams and Meet put between two rules, in whatever language it is."""
    at = 0
    while at < len(lines):
        ends = next(
            (n for n in range(at + 1, min(at + 60, len(lines))) if FRAME.fullmatch(lines[n].strip())), 0
        )
        if FRAME.fullmatch(lines[at].strip()) and ends and any(map(is_joining, lines[at:ends])):
            at = ends
        else:
            yield lines[at]
        at += 1


def is_joining(line: str) -> bool:
    if any(MEETING_HOSTS.search(unquote(link)) for link in ADDRESS.findall(line)):
        return True
    return bool(
        re.match(
            r"(?i)\W{0,20}(?:microsoft teams meeting|(?:.{0,80}\bscheduled|join) zoom meeting|join with google meet"
            r"|.{0,80}\binvites you to (?:join )?(?:this|a) webex meeting)\b",
            line,
        )
    )
