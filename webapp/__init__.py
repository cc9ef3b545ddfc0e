"""Scenario Portal: the internal page in front of Exec's Scenario Studio."""

import logging
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from . import (
    admin,
    auth,
    cookies,
    drafts,
    embed,
    errors,
    exec_api,
    guard,
    headers,
    issuer,
    keys,
    launches,
    links,
    logs,
    look,
    ops,
    pages,
    sign_ins,
    starters,
    static_files,
    texts,
)
from .bodies import Bodies, Request
from .config import Settings, version
from .exec_api import ExecClient
from .health import Health
from .metrics import Metrics
from .mount import Mount
from .oidc import Provider
from .portal import Portal, portal_of
from .store import Store
from .store.database import StoreUnavailable
from .store.migration import migrate
from .store.pace import Pacer
from .transport import Limits, Transport, tls_context

log = logging.getLogger(__name__)
ROOT = Path(__file__).parent.parent

# As many calls at once as threads that can make one (gunicorn.conf.py).
POOL = 500
LARGEST_POST = 2 * 1024 * 1024  # bytes


def create_app(settings: Settings) -> Flask:
    """Build the portal from its settings, on a database that is up to date."""
    app = Flask(__name__, template_folder=ROOT / "templates", static_folder=None)
    app.request_class = Request
    logs.configure(settings.log_format, keys.derived(settings.secret_keys[0], "log"))
    app.extensions["portal"] = build(settings)
    keys.init_app(app, settings.secret_keys)
    configure(app, settings)
    logs.init_app(app, settings.trusted_proxies, urlsplit(settings.origin).netloc)
    pages.init_app(app, settings)
    static_files.init_app(app, ROOT / "static", {"words.html": pages.words(app)})
    look.init_app(app, settings)
    send_headers(app, settings)
    guard.init_app(app)
    errors.init_app(app)
    for resource in (auth, admin, launches, drafts, texts, links, embed, sign_ins, ops):
        app.register_blueprint(resource.bp)
    serve_below(app, settings)
    say_what_runs(settings, portal_of(app).store)
    return app


def say_what_runs(settings: Settings, store: Store) -> None:
    """Write the one line by which an operator sees whether it was started as meant."""
    who = ", ".join((*settings.allowed_email_domains, *settings.allowed_groups))
    address = store.database.engine.url
    told = {
        "at": settings.public_url,
        "redirect address": f"{settings.public_url}/sign-in/callback",
        "issuer": settings.oidc_issuer,
        "may enter": who or "anyone the provider signs in",
        "database": f"{address.get_backend_name()} at {address.host or address.database}",
        "proxies": settings.trusted_proxies,
    }
    line = "; ".join(f"{name}: {value}" for name, value in told.items())
    log.info("Scenario Portal %s starts; %s", version(), line, extra={"event": "started"})


def build(settings: Settings) -> Portal:
    """Put the parts together; nothing of them knows Flask."""
    store = open_store(settings)
    transport = way_out(settings, issuer.LIMITS)
    provider = Provider(settings, transport)
    health = Health(store.database)
    metrics = Metrics(store, health)
    if settings.metrics_token:
        logs.count(metrics)
    file = settings.starters_file
    return Portal(
        settings,
        store,
        pacer(settings, store),
        exec_client(settings),
        provider,
        transport,
        health,
        metrics,
        starters.read_starters(file) if file else starters.STARTERS,
    )


def configure(app: Flask, settings: Settings) -> None:
    """Set what Flask and Flask-WTF read from `app.config`."""
    app.config.update(
        SESSION_COOKIE_NAME=cookies.name(settings.public_url, cookies.SESSION),
        SESSION_COOKIE_PATH="/",
        SESSION_COOKIE_SECURE=settings.is_https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        # Longer than a sign-in lasts: one that has expired is still recognised as that person's.
        PERMANENT_SESSION_LIFETIME=timedelta(hours=settings.session_hours, days=7),
        SESSION_REFRESH_EACH_REQUEST=False,
        # What is pasted may be far too long for Exec: it comes back with its length told, not refused unread.
        MAX_CONTENT_LENGTH=LARGEST_POST,
        MAX_FORM_MEMORY_SIZE=LARGEST_POST,
        WTF_CSRF_CHECK_DEFAULT=False,  # `guard.refuse_forged_posts` asks for it
        WTF_CSRF_TIME_LIMIT=None,  # people type for hours; the token lives as long as the session
        WTF_CSRF_SSL_STRICT=False,  # compares with the request's host, which a proxy may rewrite
    )
    app.url_map.merge_slashes = False  # it answers with a redirect built from the request's Host


def way_out(settings: Settings, limits: Limits) -> Transport:
    proxy = settings.https_proxy.get_secret_value() if settings.https_proxy else None
    return Transport(tls_context(settings.ssl_cert_file), limits, POOL, proxy, settings.no_proxy)


def exec_client(settings: Settings) -> ExecClient:
    key = settings.exec_api_key.get_secret_value()
    return ExecClient(
        settings.exec_api_url, key, settings.exec_studio_hosts, way_out(settings, exec_api.LIMITS)
    )


def send_headers(app: Flask, settings: Settings) -> None:
    headers.init_app(
        app,
        home=settings.origin,
        studio_origins=exec_api.http_origins(settings.exec_studio_hosts),
        ancestors=settings.frame_ancestors,
        coep=settings.embed_coep,
    )


def open_store(settings: Settings) -> Store:
    """Bring the database up to date. Stops the start with one sentence when it cannot serve."""
    url = settings.database_url.get_secret_value()
    try:
        migrate(url)
    except StoreUnavailable as error:
        raise SystemExit(f"The portal cannot start: DATABASE_URL: {error}") from None
    return Store(url)


def pacer(settings: Settings, store: Store) -> Pacer:
    access = settings.exec_api_key.get_secret_value() + ",".join(settings.exec_studio_hosts)
    return Pacer(
        store.database, settings.exec_creations_per_minute, settings.creations_per_person_per_hour, access
    )


def serve_below(app: Flask, settings: Settings) -> None:
    """Serve below the path of `PUBLIC_URL`, behind as many proxies as are trusted."""
    app.wsgi_app = Mount(Bodies(app.wsgi_app), settings.base_path)  # type: ignore[method-assign]
    if settings.trusted_proxies:
        count = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=0)  # type: ignore[method-assign]
