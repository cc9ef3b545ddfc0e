"""`python -m webapp erase`: what an operator does by hand."""

import argparse

from .config import Settings
from .store import Store
from .store.database import StoreUnavailable, migrate


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m webapp")
    commands = parser.add_subparsers(dest="command", required=True)
    erase = commands.add_parser("erase", help="erase old launches, or one person's")
    erase.add_argument("--person", metavar="EMAIL", help="erase everything of this person instead")
    arguments = parser.parse_args()
    settings = Settings()
    try:
        print(_erase(settings, arguments.person))
    except StoreUnavailable as error:
        raise SystemExit(f"DATABASE_URL cannot be reached ({error})") from None


def _erase(settings: Settings, person: str | None) -> str:
    url = settings.database_url.get_secret_value()
    migrate(url, patience=0)
    store = Store(url)
    days = settings.retention_days
    if person is None:
        return f"Erased {_launches(store.erasing.older_than(days))} older than {days} days."
    return _erase_person(store, person)


def _erase_person(store: Store, email: str) -> str:
    erased = store.erasing.person(email)
    said = f"Erased {_launches(erased.launches)} and {erased.drafts} drafts of {email}."
    if erased.under_way:
        said += f" {_launches(erased.under_way)} being created now: erased when the call to Exec ends."
    return said


def _launches(count: int) -> str:
    return "1 launch" if count == 1 else f"{count} launches"


if __name__ == "__main__":
    main()
