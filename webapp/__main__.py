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
    erased = store.erasing.older_than(days) if person is None else store.erasing.person(person)
    return f"Erased {erased} launches."


if __name__ == "__main__":
    main()
