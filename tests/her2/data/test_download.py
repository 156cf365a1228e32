"""Downloads from a server in a thread: whole, on after a cut, and never a wrong file."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from her2_models.data import _download, get
from membrane_xai.errors import InvalidInputError

CONTENT = bytes(range(256)) * 4000
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `content`, as good or bad as it is told to."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.etag = '"1"'
        self.ranges = True
        self.cut_after = None
        self.shift = 0
        self.answers = {}
        self.asked = []

    def url(self, name="data.zip"):
        return f"http://127.0.0.1:{self.server_port}/files/{name}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        wanted = self.headers.get("Range")
        server.asked.append((self.path, wanted))
        if self.path in server.answers:
            status, headers, body = server.answers[self.path]
            return self.answer(status, headers, body)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        changed = self.headers.get("If-Range", server.etag) != server.etag
        if not server.ranges or changed:
            start = 0
        total = len(server.content)
        if start and start >= total:
            return self.answer(416, {"Content-Range": f"bytes */{total}"}, b"")
        headers = {} if server.etag is None else {"ETag": server.etag}
        if start:
            headers["Content-Range"] = f"bytes {start + server.shift}-{total - 1}/{total}"
        return self.answer(206 if start else 200, headers, server.content[start:])

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: self.server.cut_after])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def names(folder):
    return {path.name for path in folder.iterdir()}


def cut(server, out, after=300_000):
    server.cut_after = after
    with pytest.raises(
        ConnectionError, match=rf"data\.zip: cut after {after} of {len(CONTENT)} bytes"
    ):
        get(server.url(), out)
    server.cut_after = None
    server.asked.clear()


def test_a_whole_file(server, tmp_path):
    path = get(server.url() + "?download=1", tmp_path / "new" / "folder", md5=MD5.upper())
    assert path == tmp_path / "new" / "folder" / "data.zip"
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == {"data.zip"}


def test_it_goes_on_after_a_cut(server, tmp_path):
    cut(server, tmp_path)
    assert names(tmp_path) == {"data.zip.part", "data.zip.part-version"}
    path = get(server.url(), tmp_path, md5=MD5)
    assert path.read_bytes() == CONTENT
    assert server.asked == [("/files/data.zip", "bytes=300000-")]
    assert names(tmp_path) == {"data.zip"}


def test_several_cuts(server, tmp_path):
    for _ in range(4):
        server.cut_after = 200_000
        with pytest.raises(ConnectionError, match="cut after"):
            get(server.url(), tmp_path)
    server.cut_after = None
    assert get(server.url(), tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [
        None, "bytes=200000-", "bytes=400000-", "bytes=600000-", "bytes=800000-",
    ]  # fmt: skip


def test_a_server_that_cannot_go_on_sends_all(server, tmp_path):
    cut(server, tmp_path)
    server.ranges = False
    assert get(server.url(), tmp_path).read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_is_got_anew(server, tmp_path):
    cut(server, tmp_path)
    server.content, server.etag = CONTENT[::-1], '"2"'
    assert get(server.url(), tmp_path).read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("etag", [None, 'W/"1"'])
def test_without_a_sure_mark_only_a_checksum_lets_it_go_on(server, tmp_path, etag):
    server.etag = etag
    cut(server, tmp_path)
    assert names(tmp_path) == {"data.zip.part"}
    assert get(server.url(), tmp_path).read_bytes() == CONTENT
    assert server.asked == [("/files/data.zip", None)]
    (tmp_path / "data.zip").unlink()
    cut(server, tmp_path)
    assert get(server.url(), tmp_path, md5=MD5).read_bytes() == CONTENT
    assert server.asked == [("/files/data.zip", "bytes=300000-")]


def test_a_part_that_is_the_whole(server, tmp_path):
    (tmp_path / "data.zip.part").write_bytes(CONTENT)
    assert get(server.url(), tmp_path, md5=MD5).read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_a_part_that_is_too_long(server, tmp_path):
    (tmp_path / "data.zip.part").write_bytes(CONTENT + b"more")
    assert get(server.url(), tmp_path, md5=MD5).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [f"bytes={len(CONTENT) + 4}-", None]


def test_another_range_than_asked_for(server, tmp_path):
    cut(server, tmp_path)
    server.shift = 1
    with pytest.raises(ConnectionError, match="sent another range than asked for"):
        get(server.url(), tmp_path)
    assert not (tmp_path / "data.zip").exists()


def test_a_wrong_checksum_removes_what_came(server, tmp_path):
    server.content = CONTENT[:-1] + b"!"
    with pytest.raises(InvalidInputError, match=rf"came with MD5 [0-9a-f]+ instead of {MD5}"):
        get(server.url(), tmp_path, md5=MD5)
    assert names(tmp_path) == set()


def test_what_is_there_is_checked_and_not_got_again(server, tmp_path):
    (tmp_path / "data.zip").write_bytes(CONTENT)
    get(server.url(), tmp_path, md5=MD5)
    get(server.url(), tmp_path)
    assert server.asked == []
    (tmp_path / "data.zip").write_bytes(b"mine")
    with pytest.raises(InvalidInputError, match=r"data\.zip: is there, with MD5"):
        get(server.url(), tmp_path, md5=MD5)
    assert (tmp_path / "data.zip").read_bytes() == b"mine"


def test_no_length(server, tmp_path):
    server.answers["/files/data.zip"] = (200, {"Content-Length": None}, CONTENT)
    assert get(server.url(), tmp_path, md5=MD5).read_bytes() == CONTENT


def test_redirects_stay_within_http(server, tmp_path):
    server.answers["/files/old.zip"] = (302, {"Location": server.url()}, b"")
    assert get(server.url("old.zip"), tmp_path).read_bytes() == CONTENT
    secret = tmp_path / "secret"
    secret.write_text("x")
    server.answers["/files/bad.zip"] = (302, {"Location": secret.as_uri()}, b"")
    server.answers["/files/ftp.zip"] = (302, {"Location": "ftp://127.0.0.1/a"}, b"")
    for name in ("bad.zip", "ftp.zip"):
        with pytest.raises(ConnectionError, match=name):
            get(server.url(name), tmp_path)
        assert not (tmp_path / name).exists()


def test_errors_of_server_and_network(server, tmp_path):
    server.answers["/files/no.zip"] = (404, {}, b"")
    with pytest.raises(ConnectionError, match=r"no\.zip: the server says 404"):
        get(server.url("no.zip"), tmp_path)
    with pytest.raises(ConnectionError, match=r"http://127.0.0.1:9/a.zip: "):
        get("http://127.0.0.1:9/a.zip", tmp_path)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("her2", "url_or_name is 'her2'; it takes her2-ihc-40x-patch, her2-ihc-40x-wsi or"),
        ("file:///etc/passwd", "it takes an address of http or https"),
        ("ftp://a/b.zip", "it takes an address of http or https"),
        ("http:///b.zip", "it takes an address of http or https"),
        ("http://[/b.zip", "it takes an address of http or https"),
        ("http://a/", "it takes an address that ends in a file name"),
        ("http://a/..", "it takes an address that ends in a file name"),
        ("http://a/x%2F..%2Fevil", "it takes an address that ends in a file name"),
        ("http://a/b%5Cc", "it takes an address that ends in a file name"),
    ],
)
def test_addresses_that_are_none(tmp_path, address, message):
    with pytest.raises(InvalidInputError, match=message):
        get(address, tmp_path)


def test_a_checksum_that_is_none(tmp_path):
    with pytest.raises(InvalidInputError, match="md5 is 'abc'; it takes 32 hexadecimal digits"):
        get("http://a/b.zip", tmp_path, md5="abc")


@pytest.fixture
def zenodo(server, monkeypatch):
    base = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(_download, "_RECORD", f"{base}/records/1")
    monkeypatch.setattr(_download, "_API", f"{base}/api")

    def answer(checksum, key="her2-ihc-40x-patch.zip"):
        body = {
            "files": [{"key": "other.zip", "checksum": "md5:0"}, {"key": key, "checksum": checksum}]
        }
        server.answers["/api"] = (200, {}, json.dumps(body).encode())

    return answer


def test_named_data_sets_have_the_checksum_that_zenodo_publishes(server, zenodo, tmp_path):
    assert _download.DATA_SETS.keys() == {"her2-ihc-40x-patch", "her2-ihc-40x-wsi"}
    zenodo(f"md5:{MD5}")
    path = get("her2-ihc-40x-patch", tmp_path)
    assert path.name == "her2-ihc-40x-patch.zip"
    assert [asked for asked, _ in server.asked] == [
        "/api",
        "/records/1/files/her2-ihc-40x-patch.zip",
    ]
    path.unlink()
    zenodo(f"md5:{'0' * 32}")
    with pytest.raises(InvalidInputError, match="came with MD5"):
        get("her2-ihc-40x-patch", tmp_path)
    assert get("her2-ihc-40x-patch", tmp_path, md5=MD5).read_bytes() == CONTENT  # not asked then


def test_no_checksum_at_zenodo_is_an_error(server, zenodo, tmp_path):
    zenodo(f"sha256:{MD5}")
    with pytest.raises(InvalidInputError, match="gives a checksum of kind 'sha256'"):
        get("her2-ihc-40x-patch", tmp_path)
    zenodo(f"md5:{MD5}", key="renamed.zip")
    with pytest.raises(InvalidInputError, match=r"has no checksum of her2-ihc-40x-patch.zip"):
        get("her2-ihc-40x-patch", tmp_path)
    server.answers["/api"] = (200, {}, b"<html>")
    with pytest.raises(InvalidInputError, match="has no checksum of"):
        get("her2-ihc-40x-patch", tmp_path)
    assert names(tmp_path) == set()


def test_the_addresses_at_zenodo():
    assert _download._file_url("her2-ihc-40x-patch") == (
        "https://zenodo.org/records/15179608/files/her2-ihc-40x-patch.zip"
    )
    assert _download._API == "https://zenodo.org/api/records/15179608"
