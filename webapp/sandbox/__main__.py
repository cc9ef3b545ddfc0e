"""`python -m webapp.sandbox serve` runs the sandbox; `demo` runs it together with the portal."""

import argparse
import sys
from collections.abc import Sequence

from . import demo
from .options import Options
from .server import Server, is_taken


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return the exit status."""
    chosen = parser().parse_args(arguments)
    return demo.run() if chosen.command == "demo" else serve(chosen)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m webapp.sandbox", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("demo", help="serve the portal and the sandbox; ports from PORT and SANDBOX_PORT")
    options = commands.add_parser("serve", help="serve the sandbox alone")
    options.add_argument("--port", type=int, default=8001)
    options.add_argument(
        "--portal",
        action="append",
        metavar="URL",
        help="a portal's address, whose callback is registered; repeatable (http://localhost:8000)",
    )
    options.add_argument("--issuer-url", metavar="URL", help="base of the issuers (http://127.0.0.1:PORT)")
    options.add_argument("--studio-url", metavar="URL", help="base of the Studio (http://127.0.0.1:PORT)")
    options.add_argument(
        "--sso-url", metavar="URL", help="base of the Studio's sign-in (http://localhost:PORT)"
    )
    options.add_argument("--certificate", metavar="FILE", help="serve over TLS with this certificate")
    options.add_argument("--key", metavar="FILE", help="the certificate's private key")
    options.add_argument("--creations-per-minute", type=int, default=10, metavar="N", help="0 = no limit")
    options.add_argument("--requests-per-minute", type=int, default=60, metavar="N", help="0 = no limit")
    options.add_argument("--requests-per-day", type=int, default=1000, metavar="N", help="0 = no limit")
    return top


def serve(chosen: argparse.Namespace) -> int:
    """Serve the sandbox until it is told to stop."""
    if bool(chosen.certificate) != bool(chosen.key):
        print("--certificate and --key belong together.", file=sys.stderr)
        return 2
    if is_taken(chosen.port):
        print(f"Port {chosen.port} is taken. Choose another one with --port.", file=sys.stderr)
        return 1
    options = read_options(chosen)
    print(f"The sandbox is at {options.issuer_url}/ (Ctrl-C stops it).", flush=True)
    Server(options).run()
    return 0


def read_options(chosen: argparse.Namespace) -> Options:
    """Fill in the addresses that were not given."""
    scheme = "https" if chosen.certificate else "http"
    here = f"{scheme}://127.0.0.1:{chosen.port}"
    return Options(
        port=chosen.port,
        portals=tuple(url.rstrip("/") for url in chosen.portal or ["http://localhost:8000"]),
        issuer_url=(chosen.issuer_url or here).rstrip("/"),
        studio_url=(chosen.studio_url or here).rstrip("/"),
        sso_url=(chosen.sso_url or f"{scheme}://localhost:{chosen.port}").rstrip("/"),
        certificate=chosen.certificate,
        key=chosen.key,
        creations_per_minute=chosen.creations_per_minute,
        requests_per_minute=chosen.requests_per_minute,
        requests_per_day=chosen.requests_per_day,
    )


if __name__ == "__main__":
    sys.exit(main())
