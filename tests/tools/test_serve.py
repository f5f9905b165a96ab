import gzip
import http.client
import socket
import time

import pytest

from tools.console import SetupError
from tools.serve import RangeNotSatisfiableError, Server, accepted_encodings, byte_range

BODY = bytes(range(256)) * 4


@pytest.fixture
def site(tmp_path):
    root = tmp_path / "site"
    for name, content in {
        "index.html": b"<!doctype html>",
        "B04.tif": BODY,
        "vendor/engine.mjs": b"export const a = 1;",
        "vendor/engine.mjs.br": b"pretend brotli",
        "vendor/engine.mjs.gz": gzip.compress(b"export const a = 1;", mtime=0),
        "data/index.html": b"data",
        "a b.txt": b"spaced",
        "empty.bin": b"",
        ".git/config": b"secret",
        ".venv/pyvenv.cfg": b"secret",
        "node_modules/x/package.json": b"secret",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "outside.txt").write_text("secret")
    return root


@pytest.fixture
def server(site):
    with Server(site) as running:
        yield running


@pytest.fixture
def ask(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)

    def request(path, method="GET", **headers):
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response, response.read()

    yield request
    connection.close()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", (0, 0)),
        ("bytes=10-19", (10, 19)),
        ("bytes=90-", (90, 99)),
        ("bytes=-10", (90, 99)),
        ("bytes=-1000", (0, 99)),
        ("bytes=95-1000", (95, 99)),
        ("bytes=0-1,5-6", None),
        ("items=0-1", None),
        ("bytes=-", None),
        ("bytes=9-2", None),
        ("bytes=a-b", None),
    ],
)
def test_a_range_header_names_first_and_last_byte_or_is_ignored(header, expected):
    assert byte_range(header, 100) == expected


@pytest.mark.parametrize(
    ("header", "size_bytes"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-", 0), ("bytes=-5", 0)]
)
def test_a_range_outside_the_file_cannot_be_satisfied(header, size_bytes):
    with pytest.raises(RangeNotSatisfiableError):
        byte_range(header, size_bytes)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, []),
        ("gzip, deflate, br", ["br", "gzip"]),
        ("br;q=0, gzip", ["gzip"]),
        ("br;q=0.000, gzip;q=0.5", ["gzip"]),
        ("BR ; q=1.0", ["br"]),
        ("identity", []),
    ],
)
def test_encodings_come_best_first_and_a_weight_of_zero_means_no(header, expected):
    assert accepted_encodings(header) == expected


def test_a_whole_file_comes_with_type_length_and_isolation(ask):
    response, body = ask("/B04.tif")
    assert (response.status, body) == (200, BODY)
    assert response.headers["Content-Type"] == "image/tiff"
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert response.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.wasm", "application/wasm"),
        ("a.whl", "application/zip"),
        ("a.toml", "application/toml"),
        ("a.TIF", "image/tiff"),
        ("a.webmanifest", "application/manifest+json"),
        ("a.svg", "image/svg+xml"),
        ("a.onnx", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
    ],
)
def test_media_types_follow_the_suffix(site, ask, name, media_type):
    (site / name).write_bytes(b"x")
    assert ask(f"/{name}")[0].headers["Content-Type"] == media_type


def test_one_range_gives_206_with_exactly_these_bytes(ask):
    response, body = ask("/B04.tif", Range="bytes=100-199")
    assert (response.status, body) == (206, BODY[100:200])
    assert response.headers["Content-Range"] == "bytes 100-199/1024"
    assert response.headers["Content-Length"] == "100"


def test_an_unsatisfiable_range_gives_416_with_the_size(ask):
    response, body = ask("/B04.tif", Range="bytes=1024-")
    assert (response.status, body) == (416, b"")
    assert response.headers["Content-Range"] == "bytes */1024"


def test_the_connection_survives_every_kind_of_answer(ask):
    for path, headers, status in (
        ("/B04.tif", {"Range": "bytes=1024-"}, 416),
        ("/nothing", {}, 404),
        ("/data", {}, 301),
        ("/B04.tif", {"Range": "bytes=0-9"}, 206),
        ("/empty.bin", {}, 200),
        ("/B04.tif", {}, 200),
    ):
        assert ask(path, **headers)[0].status == status


def test_if_range_gives_the_part_only_of_the_version_it_names(site, ask):
    etag = ask("/B04.tif")[0].headers["ETag"]
    assert ask("/B04.tif", Range="bytes=0-9", If_Range=etag)[0].status == 206
    assert ask("/B04.tif", Range="bytes=0-9", If_Range="Wed, 01 Jan 2025 00:00:00 GMT")[0].status == 200
    (site / "B04.tif").write_bytes(BODY[::-1] + b"!")
    response, body = ask("/B04.tif", Range="bytes=0-9", If_Range=etag)
    assert (response.status, len(body)) == (200, 1025)


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
def test_a_known_validator_gives_304_without_a_body(ask, form):
    etag = ask("/B04.tif")[0].headers["ETag"]
    response, body = ask("/B04.tif", If_None_Match=form.format(etag))
    assert (response.status, body, response.headers["ETag"]) == (304, b"", etag)


def test_the_validator_changes_with_the_content(site, ask):
    before = ask("/B04.tif")[0].headers["ETag"]
    (site / "B04.tif").write_bytes(BODY + b"more")
    assert ask("/B04.tif", If_None_Match=before)[0].status == 200


def test_a_compressed_copy_goes_to_those_who_accept_it(ask):
    plain = ask("/vendor/engine.mjs")[0]
    response, body = ask("/vendor/engine.mjs", Accept_Encoding="gzip, br")
    assert (response.headers["Content-Encoding"], body) == ("br", b"pretend brotli")
    assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert response.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    assert response.headers["ETag"] != plain.headers["ETag"]
    assert ask("/vendor/engine.mjs", Accept_Encoding="gzip")[0].headers["Content-Encoding"] == "gzip"


def test_a_range_counts_bytes_of_the_file_itself(ask):
    response, body = ask("/vendor/engine.mjs", Accept_Encoding="br", Range="bytes=0-5")
    assert (response.status, body) == (206, b"export")
    assert "Content-Encoding" not in response.headers


def test_head_gives_the_headers_alone(ask):
    response, body = ask("/B04.tif", method="HEAD")
    assert (response.status, body, response.headers["Content-Length"]) == (200, b"", "1024")


def test_other_methods_are_not_spoken(ask):
    assert ask("/B04.tif", method="POST")[0].status == 501


@pytest.mark.parametrize(
    "path",
    [
        "/.git/config",
        "/.venv/pyvenv.cfg",
        "/node_modules/x/package.json",
        "/../outside.txt",
        "/%2e%2e/outside.txt",
        "/data/..%2f..%2foutside.txt",
        "/..%5coutside.txt",
        "//../outside.txt",
        "/B04.tif%00",
        "/link.txt",
    ],
)
def test_nothing_outside_the_site_is_served(site, ask, path):
    (site / "link.txt").symlink_to(site.parent / "outside.txt")
    response, body = ask(path)
    assert response.status == 404
    assert b"secret" not in body


def test_folders_serve_their_index_and_names_may_hold_spaces(ask):
    assert ask("/")[1] == b"<!doctype html>"
    assert ask("/data/")[1] == b"data"
    assert ask("/data?x=1")[0].headers["Location"] == "/data/?x=1"
    assert ask("/a%20b.txt?v=2")[1] == b"spaced"


def test_a_redirect_stays_on_this_host(ask):
    assert ask("//data")[0].headers["Location"] == "/data/"


def test_an_overlay_hides_the_file_below(site, tmp_path):
    (tmp_path / "over").mkdir()
    (tmp_path / "over" / "B04.tif").write_bytes(b"damaged")
    with Server(site, overlays=[tmp_path / "over"]) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        for path, expected in (("/B04.tif", b"damaged"), ("/a%20b.txt", b"spaced")):
            connection.request("GET", path)
            assert connection.getresponse().read() == expected
        connection.close()


def test_the_log_tells_method_path_range_status_and_bytes(server, ask):
    ask("/B04.tif?x=1", Range="bytes=0-9")
    ask("/nothing")
    ask("/B04.tif", method="HEAD")
    assert [(e.method, e.path, e.range, e.status, e.bytes_sent) for e in server.log] == [
        ("GET", "/B04.tif", "bytes=0-9", 206, 10),
        ("GET", "/nothing", None, 404, 10),
        ("HEAD", "/B04.tif", None, 200, 0),
    ]


def test_the_log_is_put_right_when_the_client_leaves_early(site, server):
    size_bytes = 64 << 20
    with (site / "big.bin").open("wb") as file:
        file.truncate(size_bytes)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(b"GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.recv(1000)
    deadline = time.monotonic() + 10
    while server.log[0].bytes_sent == size_bytes and time.monotonic() < deadline:
        time.sleep(0.01)
    assert 0 <= server.log[0].bytes_sent < size_bytes


def test_a_port_in_use_is_said_with_the_remedy(site):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match=rf"port {port} is in use.*make start PORT="):
            Server(site, port)
