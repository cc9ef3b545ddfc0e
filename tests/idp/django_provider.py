"""A provider made with Django OAuth Toolkit: Django's accounts and login page, the toolkit's consent.

Is told which portals are registered, prints its issuer, and goes on until its input ends.
"""

import json
import sys
import threading
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.urls import include, path
from jwcrypto.jwk import JWK

told = json.loads(sys.argv[1])
server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)

settings.configure(
    SECRET_KEY="for one run",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(told["directory"], "django")}
    },
    INSTALLED_APPS=[
        "django.contrib.admin",  # whose login page is shown
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "oauth2_provider",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # the others take their time
    STATIC_URL="static/",
    LOGIN_URL="/login/",
    OAUTH2_PROVIDER={
        "OIDC_ENABLED": True,
        "OIDC_RSA_PRIVATE_KEY": JWK.generate(kty="RSA", size=2048).export_to_pem(True, None).decode(),
        "OIDC_RP_INITIATED_LOGOUT_ENABLED": True,
        "OAUTH2_VALIDATOR_CLASS": f"{__name__}.Claims",
        "SCOPES": {"openid": "who you are", "email": "your address", "profile": "your name"},
    },
)
django.setup()

from django.contrib import admin  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.contrib.auth.views import LoginView  # noqa: E402
from oauth2_provider.models import Application  # noqa: E402
from oauth2_provider.oauth2_validators import OAuth2Validator  # noqa: E402


class Claims(OAuth2Validator):  # type: ignore[misc]
    """What is told about a person: Django does not know whether an address was confirmed."""

    def get_additional_claims(self, request: Any) -> dict[str, object]:  # noqa: ANN401
        user = request.user
        vouched = {"email_verified": True} if user.username != "una" else {}
        return {"name": user.get_full_name(), "email": user.email, **vouched}


urlpatterns = [
    path("admin/", admin.site.urls),
    path("login/", LoginView.as_view(template_name="admin/login.html")),
    path("o/", include("oauth2_provider.urls")),
]

call_command("migrate", verbosity=0)
for person in ("dana", "una"):
    User.objects.create_user(person, f"{person}@acme.example", told["password"], first_name=person.title())
Application.objects.create(
    name="Scenario Portal",
    client_id="portal",
    client_secret=told["secret"],
    client_type="confidential",
    authorization_grant_type="authorization-code",
    algorithm="RS256",
    redirect_uris=" ".join(f"{portal}/sign-in/callback" for portal in told["portals"]),
    post_logout_redirect_uris=" ".join(f"{portal}/signed-out" for portal in told["portals"]),
)
server.set_app(get_wsgi_application())
threading.Thread(target=server.serve_forever, daemon=True).start()
print(json.dumps({"django": f"http://127.0.0.1:{server.server_port}/o"}), flush=True)
sys.stdin.read()
