"""Real reverse proxies before a portal: the files of `deploy/`, and the least that anybody would write."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import requests
from conftest import ROOT, end, inherited, wait_until
from not_run import not_run

PACKAGES = {
    "nginx": "nginx-light",
    "haproxy": "haproxy",
    "caddy": "caddy",
    "apache2": "apache2",
    "promtool": "prometheus",
    "systemd-analyze": "systemd",
}
MODULES = "mpm_event authz_core env ssl headers proxy proxy_http reqtimeout"


@dataclass(frozen=True)
class Place:
    """Where a proxy stands in a test: its files, its port, the portal's port."""

    directory: Path
    port: int
    portal: int
    certificate: Path  # with the key behind it

    @property
    def log(self) -> Path:
        """Everything that the proxy writes."""
        return self.directory / "proxy.log"


@dataclass(frozen=True)
class Proxy:
    """One program: its command, what stands around the file to be tried, the least that it needs to serve."""

    program: str
    command: Callable[[Path], list[str]]
    shipped: Callable[[Place], str]
    bare: Callable[[Place], str]


def changed(name: str, changes: dict[str, str]) -> str:
    """A file of `deploy/`, with what belongs to a machine changed; each change must find its place."""
    text = (ROOT / "deploy" / name).read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text, f"{name} has no {old!r}"
        text = text.replace(old, new)
    return text


def nginx(place: Place, server: str) -> str:
    paths = "".join(
        f"{kind}_temp_path {place.directory}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""  # who may read the test's directory
    pid = f"pid {place.directory}/pid;"
    return f"{user}\n{pid}\ndaemon off;\nevents {{}}\nhttp {{\n{paths}{server}\n}}\n"


def nginx_shipped(place: Place) -> str:
    return nginx(
        place,
        changed(
            "nginx.conf",
            {
                "listen 443 ssl": f"listen 127.0.0.1:{place.port} ssl",
                "/etc/ssl/portal.pem": str(place.certificate),
                "/etc/ssl/private/portal.key": str(place.certificate),
                "/var/log/nginx/portal.log": str(place.log),
                "/var/log/nginx/portal-error.log": "stderr",
                "127.0.0.1:8000": f"127.0.0.1:{place.portal}",
            },
        ),
    )


def nginx_bare(place: Place) -> str:
    return nginx(
        place,
        f"access_log off; server {{ listen 127.0.0.1:{place.port} ssl;\n"
        f"ssl_certificate {place.certificate}; ssl_certificate_key {place.certificate};\n"
        f"location / {{ proxy_pass http://127.0.0.1:{place.portal}; }} }}",
    )


def haproxy_shipped(place: Place) -> str:
    return changed(
        "haproxy.cfg",
        {
            "bind :443": f"bind 127.0.0.1:{place.port}",
            "/etc/haproxy/portal.pem": str(place.certificate),
            "127.0.0.1:8000": f"127.0.0.1:{place.portal}",
        },
    )


def haproxy_bare(place: Place) -> str:
    return f"""
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen portal
    bind 127.0.0.1:{place.port} ssl crt {place.certificate}
    server one 127.0.0.1:{place.portal}
"""


CADDY_ALONE = "admin off\n\tauto_https off\n"


def caddy_shipped(place: Place) -> str:
    own = f"\tbind 127.0.0.1\n\ttls {place.certificate} {place.certificate}\n"
    return changed(
        "Caddyfile",
        {
            "{\n\t# What is": f"{{\n\t{CADDY_ALONE}\t# What is",
            "scenarios.example.com {\n": f"https://localhost:{place.port} {{\n{own}",
            "/var/log/caddy/portal.log": str(place.log),
            "127.0.0.1:8000": f"127.0.0.1:{place.portal}",
        },
    )


def caddy_bare(place: Place) -> str:
    return (
        f"{{\n\t{CADDY_ALONE}}}\nhttps://localhost:{place.port} {{\n\tbind 127.0.0.1\n"
        f"\ttls {place.certificate} {place.certificate}\n\treverse_proxy 127.0.0.1:{place.portal}\n}}\n"
    )


def apache(place: Place, host: str) -> str:
    loaded = "".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n" for name in MODULES.split()
    )
    return f"""{loaded}
ServerRoot {place.directory}
DefaultRuntimeDir {place.directory}
PidFile {place.directory}/pid
ServerName localhost
User nobody
Group nogroup
Listen 127.0.0.1:{place.port}
ErrorLog /dev/stderr
{host}
"""


def apache_shipped(place: Place) -> str:
    return apache(
        place,
        changed(
            "apache.conf",
            {
                "*:443": f"127.0.0.1:{place.port}",
                "/etc/ssl/portal.pem": str(place.certificate),
                "/etc/ssl/private/portal.key": str(place.certificate),
                "/var/log/apache2/portal.log": str(place.log),
                "/var/log/apache2/portal-error.log": "/dev/stderr",
                "127.0.0.1:8000": f"127.0.0.1:{place.portal}",
            },
        ),
    )


def apache_bare(place: Place) -> str:
    return apache(
        place,
        f"<VirtualHost *>\nSSLEngine on\nSSLCertificateFile {place.certificate}\n"
        f"SSLCertificateKeyFile {place.certificate}\nProxyPass / http://127.0.0.1:{place.portal}/\n</VirtualHost>",
    )


PROXIES = {
    "nginx": Proxy("nginx", lambda file: ["-c", str(file)], nginx_shipped, nginx_bare),
    "haproxy": Proxy("haproxy", lambda file: ["-db", "-f", str(file)], haproxy_shipped, haproxy_bare),
    "caddy": Proxy(
        "caddy",
        lambda file: ["run", "--adapter", "caddyfile", "--config", str(file)],
        caddy_shipped,
        caddy_bare,
    ),
    "apache": Proxy(
        "apache2", lambda file: ["-D", "FOREGROUND", "-f", str(file)], apache_shipped, apache_bare
    ),
}


def find(program: str) -> str:
    """Where this program is; without it the test is not run, and with CI=true that fails."""
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        not_run(f"{program} is not installed (apt-get install {PACKAGES[program]})")
    return found


@contextlib.contextmanager
def serving(proxy: Proxy, configuration: str, place: Place) -> Iterator[None]:
    """This proxy with this configuration serves inside the block."""
    program, file = find(proxy.program), place.directory / "configuration"
    file.write_text(configuration)
    environment = inherited() | {
        "XDG_DATA_HOME": str(place.directory),
        "XDG_CONFIG_HOME": str(place.directory),
    }
    with place.log.open("ab") as output:
        process = subprocess.Popen(
            [program, *proxy.command(file)],
            cwd=place.directory,
            env=environment,
            stdout=output,
            stderr=output,
        )
    try:

        def is_up() -> bool:
            assert process.poll() is None, f"{program} ended: {place.log.read_text()}"
            with contextlib.suppress(requests.ConnectionError), requests.Session() as http:
                http.trust_env = False
                address = f"https://localhost:{place.port}/healthz"
                return http.get(address, verify=str(place.certificate), timeout=5).ok
            return False

        wait_until(is_up, program)
        yield
    finally:
        end(process)
