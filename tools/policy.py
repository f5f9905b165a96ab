"""The headers that every answer of the site carries, and the same for hosts that can be told to send them.

The service worker adds them to all that it serves, so that a host which sends none is enough. Sent by the host too,
they hold from the first byte of the first visit on.
"""

from __future__ import annotations

import json
from typing import Final

DIRECTIVES: Final = {
    "default-src": "'none'",
    "script-src": "'self' 'wasm-unsafe-eval'",
    # Any https host: the person may name a catalogue or a mirror of their own. So may one on the device itself, where
    # nothing travels that could be read on the way. blob: is how libraries hand over bytes.
    "connect-src": "'self' blob: https: http://localhost:* http://127.0.0.1:*",
    "worker-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",  # data: are the map's controls in its own style sheet
    "manifest-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "default",
}
HEADER_ONLY: Final = {"frame-ancestors": "'none'"}
"""Browsers ignore these in the page's own `meta` element."""


def policy(*, as_header: bool) -> str:
    """Return the content security policy."""
    directives = DIRECTIVES | HEADER_ONLY if as_header else DIRECTIVES
    return "; ".join(f"{name} {value}" for name, value in directives.items())


HEADERS: Final = {
    "Content-Security-Policy": policy(as_header=True),
    # These three make the page cross-origin isolated, which gives WebAssembly its threads.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
ISOLATION: Final = {name: value for name, value in HEADERS.items() if name.startswith("Cross-Origin-")}
"""For pages of tools, which are no part of the site and need the same threads."""
REVALIDATE: Final = "no-cache"
"""Names do not change with contents: browsers must ask whether a copy is the newest. Mostly the answer is 304."""

TYPES_HOSTS_LACK: Final = {".mjs": "text/javascript", ".wasm": "application/wasm", ".whl": "application/zip"}
"""What hosts often do not know; browsers run no script and stream no WebAssembly of another type."""


def host_files() -> dict[str, bytes]:
    """Return what common static hosts read: path in the site to content."""
    sent = HEADERS | {"Cache-Control": REVALIDATE}
    texts = {
        ".nojekyll": "",
        "_headers": "/*\n" + "".join(f"  {name}: {value}\n" for name, value in sent.items()),
        ".htaccess": _apache(sent),
        "vercel.json": _json({"headers": [{"source": "/(.*)", "headers": _pairs(sent)}]}),
        "hosting/nginx.conf": _nginx(sent),
        "hosting/Caddyfile": _caddy(sent),
        "hosting/firebase.json": _json(
            {"hosting": {"public": ".", "headers": [{"source": "**", "headers": _pairs(sent)}]}}
        ),
        "hosting/README.txt": HOSTING,
    }
    return {name: text.encode() for name, text in texts.items()}


HOSTING: Final = """\
Any static host will do: the service worker adds the headers from the second visit on. Sent by the host, they
hold from the first byte on. These files say it to the hosts that can be told:

_headers               Netlify, Cloudflare Pages (read where it lies)
.htaccess              Apache with mod_headers and mod_mime (read where it lies)
vercel.json            Vercel (read where it lies)
.nojekyll              GitHub Pages: serve the files as they are; it sends no headers
hosting/nginx.conf     include it inside the server block
hosting/Caddyfile      import it inside the site block
hosting/firebase.json  beside the site's folder; set "public"
"""


def _firebase(headers: dict[str, str]) -> dict[str, object]:
    return {"source": "**", "headers": _pairs(headers)}


def _pairs(headers: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": name, "value": value} for name, value in headers.items()]


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


def _apache(headers: dict[str, str]) -> str:
    types = "".join(f"AddType {media} {suffix}\n" for suffix, media in TYPES_HOSTS_LACK.items())
    lines = "".join(f'  Header always set {name} "{value}"\n' for name, value in headers.items())
    return f"{types}<IfModule mod_headers.c>\n{lines}</IfModule>\n"


def _nginx(headers: dict[str, str]) -> str:
    types = "".join(f"  {media} {suffix[1:]};\n" for suffix, media in TYPES_HOSTS_LACK.items())
    lines = "".join(f'add_header {name} "{value}" always;\n' for name, value in headers.items())
    return f"include mime.types;\ntypes {{\n{types}}}\n{lines}"


def _caddy(headers: dict[str, str]) -> str:
    lines = "".join(f'  {name} "{value}"\n' for name, value in headers.items())
    return f"header {{\n{lines}}}\n"
