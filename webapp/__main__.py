"""`python -m webapp …`: what an operator does by hand."""

import argparse

from .config import Settings
from .store import Store
from .store.database import StoreUnavailable, migrate


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m webapp")
    commands = parser.add_subparsers(dest="command", required=True)
    erase = commands.add_parser("erase", help="erase old launches, or one person's")
    erase.add_argument("--person", metavar="EMAIL", help="erase everything of this person instead")
    sign_out = commands.add_parser("sign-out", help="end the sign-ins of one person, or of everybody")
    whose = sign_out.add_mutually_exclusive_group(required=True)
    whose.add_argument("--person", metavar="EMAIL")
    whose.add_argument("--everybody", action="store_true")
    arguments = parser.parse_args()
    settings = Settings()
    try:
        store = _store(settings)
        if arguments.command == "erase":
            print(_erase(store, settings.retention_days, arguments.person))
        else:
            print(_sign_out(store, arguments.person))
    except StoreUnavailable as error:
        raise SystemExit(f"DATABASE_URL cannot be reached ({error})") from None


def _store(settings: Settings) -> Store:
    url = settings.database_url.get_secret_value()
    migrate(url, patience=0)
    return Store(url)


def _erase(store: Store, days: int, person: str | None) -> str:
    if person is None:
        return f"Erased {_launches(store.erasing.older_than(days))} older than {days} days."
    return _erase_person(store, person)


def _erase_person(store: Store, email: str) -> str:
    erased = store.erasing.person(email)
    rest = f"{erased.drafts} drafts and {erased.links} shared texts"
    said = f"Erased {_launches(erased.launches)}, {rest} of {email}."
    if erased.under_way:
        said += f" {_launches(erased.under_way)} being created now: erased when the call to Exec ends."
    return said


def _sign_out(store: Store, person: str | None) -> str:
    ended = store.sign_ins.end_all() if person is None else store.sign_ins.end_of(person)
    return f"Ended {'1 sign-in' if ended == 1 else f'{ended} sign-ins'}."


def _launches(count: int) -> str:
    return "1 launch" if count == 1 else f"{count} launches"


if __name__ == "__main__":
    main()
