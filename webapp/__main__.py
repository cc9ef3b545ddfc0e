"""`python -m webapp …`: what an operator does by hand."""

import argparse
import os
import sys
from contextlib import closing
from pathlib import Path

from . import check, exec_client, issuer, show, way_out
from .config import InvalidSettings, Settings
from .store import Store
from .store.database import Database, StoreUnavailable
from .store.migration import migrate
from .store.pace import Pacer


def main() -> None:
    arguments = _parser().parse_args()
    if arguments.command == "check":
        raise SystemExit(_check(in_json=arguments.json))
    settings = Settings()
    try:
        if arguments.command == "backup":
            _say(_backup(Database(settings.database_url.get_secret_value()), arguments.file))
        else:
            store = _store(settings)
            with closing(store.database):
                _say(_do(arguments, settings, store))
    except StoreUnavailable as error:
        raise SystemExit(f"DATABASE_URL: {error}") from None


def _say(text: str) -> None:
    """Print it; whoever reads may have seen enough (`… | head`)."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python tries again at its end


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m webapp")
    commands = parser.add_subparsers(dest="command", required=True)
    erase = commands.add_parser("erase", help="erase old launches, or one person's")
    erase.add_argument("--person", metavar="EMAIL", help="erase everything of this person instead")
    sign_out = commands.add_parser("sign-out", help="end the sign-ins of one person, or of everybody")
    whose = sign_out.add_mutually_exclusive_group(required=True)
    whose.add_argument("--person", metavar="EMAIL")
    whose.add_argument("--everybody", action="store_true")
    show = commands.add_parser("show", help="what happened: launches, sign-ins and events, never a text")
    what = show.add_mutually_exclusive_group(required=True)
    what.add_argument("--person", metavar="EMAIL")
    what.add_argument("--launch", metavar="ID")
    commands.add_parser("resume", help="lift what Exec's Retry-After or a refused key has stopped")
    backup = commands.add_parser("backup", help="copy the SQLite database while it is in use")
    backup.add_argument("file", metavar="FILE", type=Path)
    look = commands.add_parser("check", help="say whether this configuration will work, and what to change")
    look.add_argument("--json", action="store_true")
    return parser


def _check(*, in_json: bool) -> int:
    """Print what was found; return 0 where nothing is wrong."""
    try:
        settings = Settings()
        checks = [*check.run(settings, exec_client(settings), way_out(settings, issuer.LIMITS))]
    except InvalidSettings as error:
        checks = [check.of_setting(problem) for problem in error.problems]
    _say(check.as_json(checks) if in_json else check.report(checks))
    return 0 if check.is_ok(checks) else 1


def _do(arguments: argparse.Namespace, settings: Settings, store: Store) -> str:
    match arguments.command:
        case "erase":
            return _erase(store, settings.retention_days, arguments.person)
        case "sign-out":
            return _sign_out(store, arguments.person)
        case "show":
            by_launch = arguments.launch is not None
            return show.launch(store, arguments.launch) if by_launch else show.person(store, arguments.person)
        case _:
            return _resume(settings, store)


def _store(settings: Settings) -> Store:
    url = settings.database_url.get_secret_value()
    migrate(url, patience=0)
    return Store(url)


def _erase(store: Store, days: int, person: str | None) -> str:
    if person is None:
        return (
            f"Erased {_launches(store.erasing.older_than(days))} older than {_counted(days, 'day', 'days')}."
        )
    return _erase_person(store, person)


def _erase_person(store: Store, email: str) -> str:
    erased = store.erasing.person(email)
    drafts = _counted(erased.drafts, "draft", "drafts")
    links = _counted(erased.links, "shared text", "shared texts")
    said = f"Erased {_launches(erased.launches)}, {drafts} and {links} of {email}."
    if erased.under_way:
        said += f" {_launches(erased.under_way)} being created now: erased when the call to Exec ends."
    return said


def _sign_out(store: Store, person: str | None) -> str:
    ended = store.sign_ins.end_all() if person is None else store.sign_ins.end_of(person)
    return f"Ended {_counted(ended, 'sign-in', 'sign-ins')}."


def _resume(settings: Settings, store: Store) -> str:
    Pacer(store.database, settings.exec_creations_per_minute, 0, "").resume()
    return "Lifted: waiting scenarios go on as their pages ask, held ones as well."


def _backup(database: Database, path: Path) -> str:
    try:
        database.backup(path)
    except FileExistsError:
        raise SystemExit(f"{path} exists: name a file that does not.") from None
    except OSError as error:
        raise SystemExit(f"{path} cannot be written ({error.strerror}).") from None
    return f"Copied to {path}."


def _launches(count: int) -> str:
    return _counted(count, "launch", "launches")


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


if __name__ == "__main__":
    main()
