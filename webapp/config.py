"""The portal's settings, read once from the environment, a `.env` file and `NAME_FILE` files.

The only reader of the environment. Knows nothing of Flask, and opens no database.
"""

import io
import json
import logging
import re
import ssl
import string
import tomllib
from collections import ChainMap
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from dotenv.parser import parse_stream
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from .addresses import HOST, LOOPBACK, Exemption, host_name, origin_of, split
from .appearance import light_and_dark, read_logo
from .names import misspelt
from .starters import read_starters

# One provider for every customer of the vendor: its e-mail claims say nothing about *our* company.
MULTI_TENANT_ISSUERS = re.compile(
    r"https://(accounts\.google\.com\.?(:443)?"
    r"|(login\.microsoftonline\.com|sts\.windows\.net)\.?(:443)?"
    r"/(common|organizations|consumers|9188040d-6c67-4c5b-b112-36a304b66dad)"
    r")(/|$)",
    re.IGNORECASE,
)


# What `.env.example` says where it cannot know: left in place, it is nobody's setting.
EXAMPLES = {
    "public_url": "https://scenarios.example.com",
    "oidc_issuer": "https://login.example.com",
    "allowed_email_domains": "example.com",
    "admin_emails": "you@example.com",
    "database_url": "postgresql://portal@db.example.com/portal",
    "frame_ancestors": "https://intranet.example.com",
    "support_contact": "it-help@example.com",
    "logo_file": "/etc/portal/logo.svg",
    "starters_file": "/etc/portal/starters.toml",
}
BLANKS = string.whitespace + "\ufeff\u00a0"
log = logging.getLogger(__name__)


class InvalidSettings(SystemExit):
    """The configuration will not work; the text names every problem and no secret's value.

    A `SystemExit`, so that whatever starts the portal stops with that text and without a traceback.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("The portal cannot start. Please change:\n" + "\n".join(f"  {p}" for p in problems))


def _split(value: object) -> object:
    """Read a list: separated by commas, or as JSON where its entries hold commas."""
    if not isinstance(value, str):
        return value
    if value.startswith("["):
        return _json_list(value)
    parts = tuple(part.strip() for part in value.split(",") if part.strip())
    if any("=" in part for part in parts):
        raise ValueError('has an entry with "=": write the list as JSON, such as ["CN=Sales,OU=Groups"]')
    return parts


def _json_list(value: str) -> tuple[str, ...]:
    try:
        parts = json.loads(value)
    except ValueError:
        parts = None
    if not isinstance(parts, list) or not all(isinstance(part, str) and part.strip() for part in parts):
        raise ValueError('is no JSON list of texts such as ["CN=Sales,OU=Groups", "CN=Trainers,OU=Groups"]')
    return tuple(part.strip() for part in parts)


def _address(url: str) -> str:
    """Check an address we call or are called by: https, or http on loopback; nothing after the path."""
    parts = split(url)
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise ValueError("must be a URL such as https://name.example.com")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError("must begin with https:// (plain http is for localhost only)")
    if parts.username is not None or re.search(r"[\s\\?#]", url):
        raise ValueError("must not hold a user name, a query, a fragment or blanks")
    return url


def _proxy(url: SecretStr) -> SecretStr:
    parts = split(url.get_secret_value())
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise ValueError("must be a URL such as http://proxy.example.com:3128")
    return url


def _without_slash(url: str) -> str:
    return url.rstrip("/")


def _home(url: str) -> str:
    """Return our own address as browsers come back with it. One that they write in another way is refused.

    No page would be found below such a path, and no post would be taken for our own from such a host.
    """
    origin, path = origin_of(url), urlsplit(url).path
    if origin is None:
        raise ValueError("needs a host of letters, digits, hyphens and dots, without a dot at its end")
    if not re.fullmatch(r"(/(?!\.\.?(/|$))[\w.~!$&'()*+,;=:@-]+)*", path, re.ASCII):
        raise ValueError("must have a path of letters, digits and signs such as - and _, or none")
    # An umlaut in IDNA form: addresses for the provider and for redirects are made of it.
    return url if url.isascii() else origin + path


def _one_by_one(pattern: str, example: str) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    def check(values: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(pattern, value) for value in values):
            raise ValueError(f"must be a comma-separated list such as {example}")
        return tuple(value.lower() for value in values)

    return check


def _origin(value: str) -> str:
    """Return an origin as a content policy names it: scheme, host (`*.` in front at most), unusual port."""
    parts = split(value)
    below = "*." if (parts.hostname or "").startswith("*.") else ""
    host = host_name((parts.hostname or "").removeprefix("*."))
    if parts.scheme not in ("http", "https") or "@" in parts.netloc or not re.fullmatch(HOST, host):
        raise ValueError("must be origins such as https://intranet.acme.com, without a path")
    if re.search(r"[/?#]", value.partition("://")[2]) or parts.port == 0:
        raise ValueError("must be origins such as https://intranet.acme.com, without a path")
    if parts.scheme == "http" and host not in LOOPBACK:
        raise ValueError("each must begin with https:// (plain http is for localhost only)")
    own = f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
    return (origin_of(own) or own).replace("://", f"://{below}", 1)


def _origins(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_origin(value) for value in values)


def _exemptions(values: tuple[str, ...]) -> tuple[str, ...]:
    """Check `NO_PROXY` by what will read it; an entry that never applies would be silence."""
    try:
        for value in values:
            Exemption.parse(value)
    except ValueError:
        raise ValueError(
            "each entry must be a host, an address or a network such as acme.com, 10.1.2.3, 10.0.0.0/8"
        ) from None
    return values


def _secret_keys(keys: SecretStr) -> SecretStr:
    parts = [key.strip() for key in keys.get_secret_value().split(",") if key.strip()]
    if not parts or any(len(key) < 16 for key in parts):
        raise ValueError("each key needs at least 16 characters; `openssl rand -hex 32` makes a good one")
    if any(len(set(key)) < 8 or re.fullmatch(r"(.{1,15}?)\1+", key) for key in parts):
        raise ValueError("each key needs chance in it, not a pattern: `openssl rand -hex 32` makes one")
    return SecretStr(",".join(parts))


def _metrics_token(token: SecretStr) -> SecretStr:
    if len(token.get_secret_value()) < 16:
        raise ValueError("needs at least 16 characters; `openssl rand -hex 32` makes a good one")
    return token


def _exec_key(key: SecretStr) -> SecretStr:
    if not re.fullmatch(r"exec_live_[A-Za-z0-9]{40}", key.get_secret_value()):
        raise ValueError("must be exec_live_ and 40 letters and digits (Exec: Settings > API)")
    return key


def _database(url: SecretStr) -> SecretStr:
    address = url.get_secret_value()
    if not re.match(r"(sqlite:///|postgres(ql(\+psycopg)?)?://)", address):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    if not address.startswith("sqlite"):
        _postgresql(address)
    elif make_url(address).database in (None, "", ":memory:"):
        raise ValueError("names no file: each process would have a database of its own")
    return url


def _postgresql(address: str) -> None:
    """Read an address as SQLAlchemy and libpq will. Nothing of it is quoted: a password is in it."""
    # Not at the top: SQLite goes without the driver.
    from psycopg import ProgrammingError  # noqa: PLC0415
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    rest = address.partition("://")[2].partition("?")[0]
    name = rest.partition("/")[2]
    if rest.count("@") > 1 or re.search(r"[@:/]", name) or "#" in rest:
        raise ValueError("cannot be taken apart: percent-encode the password (@ is %40)")
    try:
        parsed = make_url(address)
        conninfo_to_dict(re.sub(r"^[a-z+]+://", "postgresql://", address))
    except (ArgumentError, ValueError, ProgrammingError):
        raise ValueError("cannot be read: look at its port, brackets, ?options (a = in one is %3D)") from None
    if not 0 < (parsed.port or 5432) < 65536:
        raise ValueError("has a port that is none")
    if parsed.host is None and "host" not in parsed.query:
        raise ValueError("names no host")


def _issuer(url: str) -> str:
    if "/.well-known/" in url:
        raise ValueError("must be the issuer itself, without /.well-known/openid-configuration")
    return url


def _ca_file(path: Path) -> Path:
    try:
        ssl.create_default_context(cafile=path)
    except (ssl.SSLError, OSError):
        raise ValueError("holds no certificate in PEM form (DER must be converted)") from None
    return path


def _readable_file(path: Path) -> Path:
    try:
        path.open("rb").close()
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None
    return path


def _logo(path: Path) -> Path:
    read_logo(path)
    return path


def _accent(colour: str) -> str:
    if colour:
        light_and_dark(colour)
    return colour


def _starters(path: Path) -> Path:
    read_starters(path)
    return path


def _from_file(value: object) -> object:
    if not isinstance(value, Path):
        return value
    try:
        secret = value.read_text(encoding="utf-8-sig").strip(BLANKS)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"its file cannot be read ({type(error).__name__})") from None
    if not secret:
        raise ValueError("its file is empty")
    return secret


def _text(value: object, name: str) -> object:
    """Refuse what no setting is: a value of `.env.example`, in quotes, or of several lines."""
    if not isinstance(value, str):
        return value
    if EXAMPLES.get(name) == value:
        raise ValueError("is still what .env.example says")
    if re.fullmatch(r"""(["']).*\1""", value, re.DOTALL):
        raise ValueError("is in quotes: take them off")
    if re.search(r"[\x00-\x1f\x7f]", value):
        raise ValueError("holds a line break or another control character")
    return value


def _lost(file: Path, ours: frozenset[str], known: set[str]) -> list[str]:
    """Find what of `.env` would be left out, or cut short at a `${…}`, in silence. Quotes nothing of it."""
    if not file.is_file():
        return []
    problems = []
    for line in parse_stream(io.StringIO(file.read_text(encoding="utf-8-sig"))):
        name, variables = (line.key or "").upper(), re.findall(r"\$\{([^}:]*)\}", line.value or "")
        if line.error or (line.value is None and name in ours):
            problems.append(f".env cannot be read in line {line.original.line}: write NAME=value")
        elif name in ours and {variable.lower() for variable in variables} - known:
            problems.append(f"{name} holds ${{…}} in .env, and no variable has that name: set it elsewhere")
    return problems


List = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Address = Annotated[str, AfterValidator(_address)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Hours = Annotated[int, Field(ge=1, le=24 * 365)]
Domains = Annotated[List, AfterValidator(_one_by_one(HOST, "acme.com,acme.co.uk"))]
Emails = Annotated[List, AfterValidator(_one_by_one(r"[^@\s]+@[^@\s]+", "jane@acme.com,omar@acme.com"))]
Hosts = Annotated[List, AfterValidator(_one_by_one(rf"(\*\.)?{HOST}(:\d{{1,5}})?", "*.app.exec.com"))]
Origins = Annotated[List, AfterValidator(_origins)]


def _is_secret(annotation: object) -> bool:
    return annotation is SecretStr or any(_is_secret(one) for one in get_args(annotation))


class SecretFiles(PydanticBaseSettingsSource):
    """Takes a secret from the file that `NAME_FILE` names, as container platforms mount them."""

    def __init__(self, settings_cls: type[BaseSettings], names: Mapping[str, str | None]) -> None:
        super().__init__(settings_cls)
        self.names = names

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Path | None, str, bool]:
        path = self.names.get(f"{field_name}_file") if _is_secret(field.annotation) else None
        return Path(path) if path else None, field_name, False

    def __call__(self) -> dict[str, Path]:
        fields = self.settings_cls.model_fields.items()
        found = {name: self.get_field_value(field, name)[0] for name, field in fields}
        return {name: path for name, path in found.items() if path}


class Settings(BaseSettings):
    """Every setting, typed; the README's table describes them. Raises `InvalidSettings`."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8-sig",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    secret_key: Annotated[SecretStr, AfterValidator(_secret_keys)]
    public_url: Annotated[Address, AfterValidator(_without_slash), AfterValidator(_home)]

    oidc_issuer: Annotated[Address, AfterValidator(_issuer)]
    oidc_client_id: str
    oidc_client_secret: SecretStr
    oidc_email_claim: str = "email"
    allowed_email_domains: Domains = ()
    allowed_groups: List = ()
    admin_emails: Emails = ()
    oidc_trust_unverified_email: Annotated[bool, Field(validate_default=True)] = False

    exec_api_key: Annotated[SecretStr, AfterValidator(_exec_key)]
    exec_api_url: Annotated[Address, AfterValidator(_without_slash)] = "https://api.exec.com/rest/v1"
    exec_studio_hosts: Hosts = ("*.app.exec.com",)

    exec_creations_per_minute: Count = 10
    creations_per_person_per_hour: Count = 20

    database_url: Annotated[SecretStr, AfterValidator(_database)] = SecretStr(
        f"sqlite:///{Path(__file__).parents[1] / 'instance' / 'portal.db'}"
    )
    retention_days: Annotated[int, Field(ge=1, le=36500)] = 30
    metrics_token: Annotated[SecretStr, AfterValidator(_metrics_token)] | None = None

    frame_ancestors: Origins = ()
    embed_review: bool = False
    embed_coep: bool = False

    trusted_proxies: Count = 0
    session_hours: Hours = 8
    session_idle_hours: Hours = 4
    log_format: Literal["json", "text"] = "json"
    support_contact: str = ""

    portal_name: Annotated[str, Field(max_length=40)] = "Scenario Portal"
    logo_file: Annotated[Path, AfterValidator(_logo)] | None = None
    accent_color: Annotated[str, AfterValidator(_accent)] = ""
    starters_file: Annotated[Path, AfterValidator(_starters)] | None = None

    ssl_cert_file: Annotated[Path, AfterValidator(_readable_file), AfterValidator(_ca_file)] | None = None
    https_proxy: Annotated[SecretStr, AfterValidator(_proxy)] | None = None
    no_proxy: Annotated[List, AfterValidator(_exemptions)] = ()

    def __init__(self, **values: object) -> None:
        try:
            problems = self._misspelt(values.get("_env_file", ".env"))
            super().__init__(**values)  # type: ignore[arg-type]  # names and types are pydantic's to check
        except ValidationError as error:
            raise InvalidSettings([_problem(entry) for entry in error.errors()] + problems) from None
        except UnicodeError:
            raise InvalidSettings([".env is no UTF-8 text: save it as UTF-8"]) from None
        except OSError as error:
            told = f".env cannot be read ({error.strerror}): let the portal's user read it"
            raise InvalidSettings([told]) from None
        if problems:
            raise InvalidSettings(problems)

    @classmethod
    def _misspelt(cls, env_file: object) -> list[str]:
        """Look for names that are nearly ours; those in `.env` that are nobody's are told as well."""
        names = {name.upper() for name in cls.model_fields}
        secret = {name.upper() for name, field in cls.model_fields.items() if _is_secret(field.annotation)}
        ours = frozenset(names | {f"{name}_FILE" for name in secret})
        written = set(DotEnvSettingsSource(cls, env_file=env_file).env_vars) if env_file else set()  # type: ignore[arg-type]
        found = written | set(EnvSettingsSource(cls).env_vars)
        problems = (_lost(Path(str(env_file)), ours, found) if env_file else []) + misspelt(found, ours)
        never_read = {name.upper() for name in found} & {f"{name}_FILE" for name in names - secret} - ours
        problems += [
            f"{name} is not read, for only secrets are: set {name.removesuffix('_FILE')}"
            for name in sorted(never_read)
        ]
        unknown = {name.upper() for name in written} - ours - {problem.split()[0] for problem in problems}
        for name in sorted(unknown):
            log.warning("%s in .env is no setting and is ignored", name, extra={"event": "setting.unknown"})
        return problems

    @model_validator(mode="before")
    @classmethod
    def _trimmed(cls, values: dict[str, object]) -> dict[str, object]:
        """Take off what editors and shells leave at the ends; what is empty then was not set."""
        trimmed = {n: v.strip(BLANKS) if isinstance(v, str) else v for n, v in values.items()}
        return {name: value for name, value in trimmed.items() if value != ""}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the name is pydantic's
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order of precedence: the environment, a secret's file, `.env`."""
        sources = (env_settings, dotenv_settings)
        names = ChainMap(*(dict(s.env_vars) for s in sources if isinstance(s, EnvSettingsSource)))
        return init_settings, env_settings, SecretFiles(settings_cls, names), dotenv_settings

    @field_validator("*", mode="before")
    @classmethod
    def _plain(cls, value: object, info: ValidationInfo) -> object:
        name = info.field_name or ""
        secret = _is_secret(cls.model_fields[name].annotation)
        return _text(_from_file(value) if secret else value, name)

    @field_validator("oidc_trust_unverified_email")
    @classmethod
    def _trust_has_bounds(cls, trust: bool, info: ValidationInfo) -> bool:
        if not trust:
            if info.data.get("oidc_email_claim", "email") != "email":
                raise ValueError(
                    "must be true when OIDC_EMAIL_CLAIM is not email: no provider vouches for it"
                )
            return trust
        if not info.data.get("allowed_email_domains"):
            raise ValueError("needs ALLOWED_EMAIL_DOMAINS: otherwise anybody could claim any address")
        if MULTI_TENANT_ISSUERS.match(info.data.get("oidc_issuer", "")):
            raise ValueError("needs an OIDC_ISSUER of your own: this one signs in people of every company")
        return trust

    @property
    def secret_keys(self) -> list[str]:
        """The signing keys, the current one first."""
        return self.secret_key.get_secret_value().split(",")

    @property
    def origin(self) -> str:
        """`PUBLIC_URL` as a browser writes it in an `Origin` header (RFC 6454, section 6.2)."""
        return origin_of(self.public_url) or ""

    @property
    def base_path(self) -> str:
        """The path of `PUBLIC_URL`: empty, or `/scenarios`."""
        return urlsplit(self.public_url).path

    @property
    def is_https(self) -> bool:
        return self.public_url.startswith("https://")


class _EarlySettings(BaseSettings):
    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8-sig", env_ignore_empty=True, extra="ignore"
    )

    log_format: str = "json"
    metrics_token: str = ""
    metrics_token_file: str = ""


def _early() -> _EarlySettings:
    try:
        return _EarlySettings()
    except (OSError, UnicodeError):  # `Settings` says so, in its own words
        return _EarlySettings(_env_file=None)  # type: ignore[call-arg]  # pydantic_settings takes it


def wants_metrics() -> bool:
    """Whether times shall be kept for all processes, before anything else is known."""
    early = _early()
    return bool(early.metrics_token or early.metrics_token_file)


@cache
def version() -> str:
    """Return the release that runs: the tree is deployed as it is, so `pyproject.toml` is there."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    return str(project["project"]["version"])


def log_format() -> Literal["json", "text"]:
    """Return the form of log lines before anything else is known; `Settings` complains of a wrong one."""
    return "text" if _early().log_format == "text" else "json"


def _problem(error: ErrorDetails) -> str:
    name = str(error["loc"][0]).upper() if error["loc"] else "settings"
    if error["type"] == "missing":
        return f"{name} is missing"
    message = error["msg"].removeprefix("Value error, ")
    return f"{name}: {message[:1].lower()}{message[1:]}"
