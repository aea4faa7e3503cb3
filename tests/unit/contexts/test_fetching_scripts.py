"""The scripts that fetch inside builds, against a server on the loopback address."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from contexts.fetch import download, pages, prebuilt, tools, wheels

TOP = Path(__file__).parents[3]
CONTENT = b"content of the file\n" * 1000
SUM = hashlib.sha256(CONTENT).hexdigest()


CUT, SHORT = 1, 2  # answers that end too early: in a chunk, and before the length that was said


class Handler(http.server.BaseHTTPRequestHandler):
    files: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[tuple[str, str | None]]] = []
    breaks: ClassVar[list[int]] = []
    password: ClassVar[str | None] = None
    troubles: ClassVar[list[int]] = []
    moved: ClassVar[dict[str, str]] = {}
    logins: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Range")))
        self.logins.append((f"http://{self.headers['Host']}{self.path}", self.headers.get("Authorization")))
        if self.troubles and (trouble := self.troubles.pop(0)):
            if trouble == CUT:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nshort")
            elif trouble == SHORT:
                self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 99\r\n\r\n")
            else:
                self.send_error(trouble)
            return
        if self.path in self.moved:
            self.send_response(302)
            self.send_header("Location", self.moved[self.path])
            self.end_headers()
            return
        if self.password and self.headers.get("Authorization") != self.password:
            self.send_error(401)
            return
        content = self.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        if self.path.endswith("/"):
            self.send_response(200)
            self.send_header("Content-Type", "application/vnd.pypi.simple.v1+json")
            self.end_headers()
            self.wfile.write(content)
            return
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = self.breaks.pop(0) if self.breaks else len(content)
        self.wfile.write(content[start:end])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Handler.files, Handler.asked, Handler.breaks, Handler.password = {}, [], [], None
    Handler.moved, Handler.logins, Handler.troubles = {}, [], []
    with serving() as address:
        yield address


@pytest.fixture
def other(server: str) -> Iterator[str]:
    """Start a second server, with the same files."""
    assert server
    with serving() as address:
        yield address


@contextmanager
def serving() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What a step of the fetcher has at fixed places."""
    monkeypatch.setattr(download, "MIRRORS", tmp_path / "mirrors")
    monkeypatch.setattr(download, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(download, "LIST", tmp_path / "files.json")
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("NETRC", raising=False)
    return tmp_path


def run(module: Any, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["script", *map(str, arguments)])
    module.main()


def get(monkeypatch: pytest.MonkeyPatch, out: Path, *urls: str, sha256: str = SUM, host: Path | None = None) -> bytes:
    folder = host or out.parent / "none"
    run(download, monkeypatch, "--file", "f", "--sha256", sha256, "--host-folder", folder, "--out", out, *urls)
    return (out / "f").read_bytes()


def test_a_broken_download_goes_on_where_it_broke_off(
    monkeypatch: pytest.MonkeyPatch, server: str, tmp_path: Path
) -> None:
    Handler.files["/f"] = CONTENT
    Handler.breaks += [5000, 9000]
    assert get(monkeypatch, tmp_path / "out", f"{server}/f") == CONTENT
    assert [asked for _, asked in Handler.asked] == [None, "bytes=5000-", "bytes=9000-"]


def test_a_later_build_goes_on_with_what_came_and_asks_nobody_for_what_is_there(
    monkeypatch: pytest.MonkeyPatch, server: str, tmp_path: Path
) -> None:
    Handler.files["/f"] = CONTENT
    Handler.breaks += [5000, 0, 0, 0]
    with pytest.raises(SystemExit, match="4 attempts broke off"):
        get(monkeypatch, tmp_path / "out", f"{server}/f")
    assert get(monkeypatch, tmp_path / "two", f"{server}/f") == CONTENT
    assert Handler.asked[-1] == ("/f", "bytes=5000-")
    count = len(Handler.asked)
    assert get(monkeypatch, tmp_path / "three", f"{server}/f") == CONTENT
    assert len(Handler.asked) == count


@pytest.mark.parametrize("name", [SUM, f"{SUM}.part"])
def test_what_was_damaged_in_the_cache_is_fetched_anew(
    monkeypatch: pytest.MonkeyPatch, server: str, tmp_path: Path, name: str
) -> None:
    Handler.files["/f"] = CONTENT
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / name).write_bytes(b"X" * 1000)
    assert get(monkeypatch, tmp_path / "out", f"{server}/f") == CONTENT
    assert (tmp_path / "cache" / SUM).read_bytes() == CONTENT


def test_the_next_address_is_tried_and_the_checksum_decides(
    monkeypatch: pytest.MonkeyPatch, server: str, tmp_path: Path
) -> None:
    Handler.files |= {"/wrong": b"something else", "/right": CONTENT}
    urls = [f"{server}/none", f"{server}/wrong", f"{server}/right"]
    assert get(monkeypatch, tmp_path / "out", *urls) == CONTENT


def test_every_reason_is_told_when_no_address_gives_the_file(
    monkeypatch: pytest.MonkeyPatch, server: str, tmp_path: Path
) -> None:
    Handler.files["/wrong"] = b"x"
    with pytest.raises(SystemExit) as caught:
        get(monkeypatch, tmp_path / "out", f"{server}/none", f"{server}/wrong")
    assert "404" in str(caught.value)
    assert "expected" in str(caught.value)
    assert not (tmp_path / "out/f").exists()


def test_a_file_of_the_host_is_used_after_its_checksum(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(CONTENT)
    assert get(monkeypatch, tmp_path / "out", "http://127.0.0.1:1/f", host=tmp_path) == CONTENT
    with pytest.raises(SystemExit, match="expected 0000"):
        get(monkeypatch, tmp_path / "o2", "http://127.0.0.1:1/f", sha256="0" * 64, host=tmp_path)


def test_no_more_comes_than_anybody_said(server: str, tmp_path: Path) -> None:
    Handler.files["/f"] = CONTENT
    wanted = download.Wanted("f", (f"{server}/f",), SUM, size=100)
    with pytest.raises(SystemExit, match="more than 100 bytes come"):
        download.fetch_all([wanted], tmp_path / "out")


def test_nothing_but_a_web_server_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(CONTENT)
    with pytest.raises(SystemExit, match="is no address of a web server"):
        get(monkeypatch, tmp_path / "out", f"file://{tmp_path}/secret")


def test_mirrors_and_credentials_of_the_place_are_used(
    monkeypatch: pytest.MonkeyPatch, server: str, tmp_path: Path
) -> None:
    Handler.files["/lab/f"] = CONTENT
    Handler.password = BASIC
    (tmp_path / "mirrors").write_text(f"https://origin.example/ {server}/lab/\n")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password word\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert get(monkeypatch, tmp_path / "out", "https://origin.example/f") == CONTENT


BASIC = "Basic " + base64.b64encode(b"me:word").decode()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password word\ndefault login me password word\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.mark.usefixtures("credentials")
def test_a_login_follows_a_redirect_to_the_same_server_alone(
    monkeypatch: pytest.MonkeyPatch, server: str, other: str, tmp_path: Path
) -> None:
    Handler.files["/f"] = CONTENT
    Handler.moved |= {"/here": "/there", "/there": f"{other}/f"}
    assert get(monkeypatch, tmp_path / "out", f"{server}/here") == CONTENT
    assert Handler.logins == [(f"{server}/here", BASIC), (f"{server}/there", BASIC), (f"{other}/f", None)]


def test_another_scheme_or_port_is_another_server() -> None:
    assert download.origin("https://lab/x") == download.origin("https://LAB:443/y")
    assert len({download.origin(url) for url in ("https://lab/", "http://lab/", "https://lab:8443/")}) == 3


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("moved", [False, True])
def test_a_page_of_links_leads_a_login_to_no_other_server(
    monkeypatch: pytest.MonkeyPatch, server: str, other: str, tmp_path: Path, moved: bool
) -> None:
    name = f"torch_x-1.0+pt27cu128-{TAG}.whl"
    at = "https://origin.example" if moved else other
    (tmp_path / "mirrors").write_text(f"https://origin.example/ {other}/\n")
    Handler.files |= {"/p.html": page(f"{at}/{name}"), f"/{name.replace('+', '%2B')}": b"wheel"}
    assert find(monkeypatch, server, tmp_path / "out") == [name]
    # The table of mirrors is the place's own: where it leads, the place's login may go.
    assert [login for url, login in Handler.logins if url.startswith(other)] == [BASIC if moved else None]


@pytest.mark.usefixtures("credentials")
def test_a_login_goes_to_no_server_that_a_stranger_names(server: str, tmp_path: Path) -> None:
    Handler.files["/f"] = CONTENT
    download.fetch_all([download.Wanted("f", (f"{server}/f",), SUM, ours=False)], tmp_path / "out")
    assert Handler.logins == [(f"{server}/f", None)]


@pytest.mark.usefixtures("credentials")
def test_a_mirror_leads_a_login_to_no_server_that_begins_like_it(server: str, tmp_path: Path) -> None:
    Handler.files["/f"] = CONTENT
    host, _, port = server.rpartition(":")
    (tmp_path / "mirrors").write_text(f"http://origin.example {host}\n")  # http://127.0.0.1, any port after it
    download.fetch_all([download.Wanted("f", (f"http://origin.example:{port}/f",), SUM, ours=False)], tmp_path / "out")
    assert Handler.logins == [(f"{server}/f", None)]


@pytest.mark.parametrize(
    ("url", "is_below"),
    [
        ("https://lab/debian/pool/x", True),
        ("https://LAB:443/debian/x", True),
        ("https://lab/debian-other/x", False),
        ("https://lab:8443/debian/x", False),
        ("https://lab.example/debian/x", False),
        ("https://lab@other/debian/x", False),
        ("http://lab/debian/x", False),
        ("https://[lab/debian/x", False),
    ],
)
def test_what_is_below_a_place_is_on_its_server_and_in_its_folder(url: str, is_below: bool) -> None:
    assert download.below(url, "https://lab/debian") is is_below
    assert download.below(url, "https://lab/debian/") is is_below


def test_credentials_in_an_address_are_not_shown() -> None:
    assert download.shown("https://me:word@lab.example/f") == "https://lab.example/f"
    assert "word" not in download.shown("https://lab.example/f?token=word#word")


TAG = "cp310-cp310-manylinux_2_17_x86_64.manylinux2014_x86_64"
INVENTORY = {
    "python": "3.10.14",
    "packages": {},
    "editable": {},
    "requires": {},
    "platform": {"implementation": "cpython", "machine": "x86_64", "glibc": "2.35"},
}


def page(*names: str) -> bytes:
    return "".join(f'<a href="{name.replace("+", "%2B")}">x</a>' for name in names).encode()


def find(monkeypatch: pytest.MonkeyPatch, server: str, out: Path, *more: object) -> list[str]:
    (out.parent / "inventory.json").write_text(json.dumps(INVENTORY))
    options = ["--page", f"{server}/p.html", "--package", "torch-x", "--version", "1.0+pt27cu128", "--out", out]
    run(prebuilt, monkeypatch, *options, "--inventory", out.parent / "inventory.json", *more)
    return sorted(path.name for path in out.iterdir())


def test_the_wheel_of_this_python_and_version_is_taken(
    monkeypatch: pytest.MonkeyPatch, server: str, tmp_path: Path
) -> None:
    wanted = f"torch_x-1.0+pt27cu128-{TAG}.whl"
    others = ["torch_x-1.0+pt27cu128-cp27-cp27m-linux_x86_64.whl", f"torch_x-1.0+pt27cpu-{TAG}.whl"]
    others += [f"torch_xy-1.0+pt27cu128-{TAG}.whl", f"torch_x-1.0.1+pt27cu128-{TAG}.whl", "torch_x-1.0.tar.gz"]
    others += ["torch_x-1.0+pt27cu128-cp310-cp310-manylinux_2_39_x86_64.whl", "torch_x-1.0+pt27cu128-cp310.whl"]
    Handler.files |= {"/p.html": page(*others, wanted), f"/{wanted.replace('+', '%2B')}": b"wheel"}
    assert find(monkeypatch, server, tmp_path / "out") == [wanted]
    digest = hashlib.sha256(b"wheel").hexdigest()
    assert json.loads((tmp_path / "files.json").read_text()) == {wanted: digest}
    (tmp_path / "locked.json").write_text(json.dumps({wanted: digest}))
    assert find(monkeypatch, server, tmp_path / "again", "--locked", tmp_path / "locked.json") == [wanted]
    (tmp_path / "locked.json").write_text(json.dumps({wanted: "0" * 64}))
    with pytest.raises(SystemExit, match="expected 0000"):
        find(monkeypatch, server, tmp_path / "changed", "--locked", tmp_path / "locked.json")


def test_a_digest_on_the_page_is_checked(monkeypatch: pytest.MonkeyPatch, server: str, tmp_path: Path) -> None:
    name = f"torch_x-1.0+pt27cu128-{TAG}.whl"
    Handler.files |= {"/p.html": page(f"{name}#sha256={'0' * 64}"), f"/{name.replace('+', '%2B')}": b"wheel"}
    with pytest.raises(SystemExit, match="expected 0000"):
        find(monkeypatch, server, tmp_path / "out")


def test_no_wheel_that_fits_is_an_error_or_a_compile(
    monkeypatch: pytest.MonkeyPatch, server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Handler.files["/p.html"] = page(f"torch_x-0.9+pt27cu128-{TAG}.whl")
    with pytest.raises(SystemExit, match="no wheel of torch-x"):
        find(monkeypatch, server, tmp_path / "out")
    assert find(monkeypatch, server, tmp_path / "out", "--optional") == []
    assert "it will be compiled" in capsys.readouterr().out


def test_a_page_that_can_not_be_read_never_turns_into_a_compile(
    monkeypatch: pytest.MonkeyPatch, server: str, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match="can't be read"):
        find(monkeypatch, server, tmp_path / "out", "--optional")


def project(*files: tuple[str, str]) -> bytes:
    return json.dumps(
        {"files": [{"filename": name, "url": f"../../{name}", "hashes": {"sha256": sha256}} for name, sha256 in files]}
    ).encode()


@pytest.fixture
def pypi(server: str, tmp_path: Path) -> str:
    """An index of this place's own."""
    (tmp_path / "mirrors").write_text(f"pypi {server}/simple\n")
    return server


def test_an_sdist_is_found_by_its_content(monkeypatch: pytest.MonkeyPatch, pypi: str, tmp_path: Path) -> None:
    assert pypi
    Handler.files |= {
        "/simple/torch-x/": project(("torch_x-1.0-py3-none-any.whl", SUM), ("torch_x-1.0.tar.gz", SUM)),
        "/torch_x-1.0.tar.gz": CONTENT,
    }
    run(pages, monkeypatch, "--sdist", "torch-x", "--version", "1.0", "--sha256", SUM, "--out", tmp_path / "out")
    assert (tmp_path / "out/torch_x-1.0.tar.gz").read_bytes() == CONTENT
    with pytest.raises(SystemExit, match=r"no index has an sdist of torch-x 1\.0 with the SHA-256 0000"):
        run(pages, monkeypatch, "--sdist", "torch-x", "--version", "1.0", "--sha256", "0" * 64, "--out", tmp_path)


def test_files_that_are_locked_come_without_resolving_from_the_first_index_that_has_them(
    monkeypatch: pytest.MonkeyPatch, pypi: str, tmp_path: Path
) -> None:
    names = ("a-1.0-py3-none-any.whl", "b-2.0-py3-none-any.whl")
    (tmp_path / "locked.json").write_text(json.dumps(dict.fromkeys(names, SUM)))
    Handler.files |= {
        "/own/a/": project((names[0], SUM)),
        "/simple/a/": project((names[0], "f" * 64)),
        "/simple/b/": project((names[1], SUM)),
        **{f"/{name}": CONTENT for name in names},
    }
    (tmp_path / "inventory.json").write_text(json.dumps(INVENTORY))
    options: tuple[object, ...] = ("--inventory", tmp_path / "inventory.json", "--locked", tmp_path / "locked.json")
    options += ("--index", f"{pypi}/own", "--out")
    run(wheels, monkeypatch, *options, tmp_path / "out")
    assert json.loads((tmp_path / "files.json").read_text()) == dict.fromkeys(names, SUM)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == list(names)
    del Handler.files["/simple/b/"]
    with pytest.raises(SystemExit, match=r"(?s)b-2.0-py3-none-any.whl .* is on no index any more.*`lock --upgrade`"):
        run(wheels, monkeypatch, *options, tmp_path / "gone")


@pytest.mark.parametrize(
    ("tags", "fits"),
    [
        ("cp310-cp310-manylinux_2_28_x86_64.manylinux_2_27_x86_64", True),
        ("cp36-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64", True),
        ("py2.py3-none-any", True),
        ("cp311-cp311-manylinux_2_28_x86_64", False),
        ("cp310-cp310-manylinux_2_36_x86_64", False),
        ("py3-none-manylinux_2_17_aarch64", False),
    ],
)
def test_files_that_are_locked_for_another_environment_are_told(
    monkeypatch: pytest.MonkeyPatch, pypi: str, tmp_path: Path, tags: str, fits: bool
) -> None:
    name = f"torch_x-1.0+pt27cu128-{tags}.whl"
    quoted = name.replace("+", "%2B")
    (tmp_path / "locked.json").write_text(json.dumps({name: SUM}))
    (tmp_path / "inventory.json").write_text(json.dumps(INVENTORY))
    Handler.files |= {"/p.html": page(name), "/simple/torch-x/": project((name, SUM)), f"/{name}": CONTENT}
    Handler.files[f"/{quoted}"] = CONTENT
    locked = ("--inventory", tmp_path / "inventory.json", "--locked", tmp_path / "locked.json")

    def fetch_both() -> None:
        run(wheels, monkeypatch, *locked, "--out", tmp_path / "out")
        find(monkeypatch, pypi, tmp_path / "prebuilt", "--locked", tmp_path / "locked.json")

    if fits:
        fetch_both()
        return
    said = r"is not for Python 3\.10\.14 on x86_64 with glibc 2\.35\nwhat to do: `lock --upgrade`"
    with pytest.raises(SystemExit, match=said):
        run(wheels, monkeypatch, *locked, "--out", tmp_path / "out")
    with pytest.raises(SystemExit, match=said):
        find(monkeypatch, pypi, tmp_path / "prebuilt", "--locked", tmp_path / "locked.json")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("A_b>=1", None),
        ("a.b[extra]", None),
        ("a-b>=2", r"requires a-b>=2, and the lock has 1\.0"),
        ("new==1", "requires new==1, and the lock does not have it"),
    ],
)
def test_what_is_required_and_not_locked_is_told(
    monkeypatch: pytest.MonkeyPatch, pypi: str, tmp_path: Path, line: str, said: str | None
) -> None:
    assert pypi
    name = "a_b-1.0-py3-none-any.whl"
    (tmp_path / "locked.json").write_text(json.dumps({name: SUM}))
    (tmp_path / "inventory.json").write_text(json.dumps(INVENTORY))
    (tmp_path / "requirements.txt").write_text(f"{line}\n")
    Handler.files |= {"/simple/a-b/": project((name, SUM)), f"/{name}": CONTENT}
    options: tuple[object, ...] = ("--inventory", tmp_path / "inventory.json", "--locked", tmp_path / "locked.json")
    options += ("--requirements", tmp_path / "requirements.txt", "--out", tmp_path / "out")
    if said is None:
        run(wheels, monkeypatch, *options)
        return
    with pytest.raises(SystemExit, match=f"(?s){said}.*`lock --upgrade requirements`"):
        run(wheels, monkeypatch, *options)


@pytest.mark.parametrize("trouble", [502, CUT, SHORT])
def test_a_page_and_a_file_are_asked_for_again(server: str, tmp_path: Path, trouble: int) -> None:
    Handler.files |= {"/p/": project(("a.whl", SUM)), "/f": CONTENT}
    Handler.troubles = [trouble, trouble]
    assert [link.name for link in pages.links(f"{server}/p/")] == ["a.whl"]
    Handler.troubles = [trouble, trouble]
    assert download.fetch_all([download.Wanted("f", (f"{server}/f",), SUM)], tmp_path / "out") == {"f": SUM}


def test_a_server_that_stays_bad_and_an_address_that_is_none_end_in_a_sentence(server: str, tmp_path: Path) -> None:
    Handler.troubles = [CUT] * download.ATTEMPTS
    with pytest.raises(SystemExit, match="attempts broke off"):
        download.fetch_all([download.Wanted("f", (f"{server}/f",), SUM)], tmp_path / "out")
    Handler.troubles = [CUT] * download.ATTEMPTS
    with pytest.raises(SystemExit, match="can't be read for six"):
        pages.must_project(server, "six")
    for url in (f"{server}/a b", "http://[foo/f"):
        with pytest.raises(SystemExit, match=r"^fetch: "):
            download.fetch_all([download.Wanted("f", (url,), SUM)], tmp_path / "out")


def test_links_of_a_page_lead_to_plain_files_on_web_servers(server: str) -> None:
    Handler.files["/p"] = page("a-1.whl", "file:///etc/passwd", "x/%2e%2e%2fb.whl", "http://[::1/c.whl", "d%0a.whl")
    assert [link.name for link in pages.links(f"{server}/p")] == ["a-1.whl"]


def test_a_page_that_is_none_is_told_as_such(server: str) -> None:
    Handler.files["/simple/a/"] = b"[" * 100_000
    with pytest.raises(ValueError, match="is no page of an index"):
        pages.links(f"{server}/simple/a/")


def test_pip_fetches_our_programs_by_their_hash_alone(
    monkeypatch: pytest.MonkeyPatch, server: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = "packaging-1.0-py3-none-any.whl"
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("packaging-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: packaging\nVersion: 1.0\n")
        archive.writestr("packaging-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    content = (tmp_path / name).read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    Handler.files |= {"/simple/packaging/": project((name, sha256)), f"/{name}": content}
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"{server}/simple")
    run(tools, monkeypatch, f"{name}={sha256}", "--out", tmp_path)
    assert (tmp_path / "packaging.whl").read_bytes() == content
    with pytest.raises(SystemExit, match=f"pip can't fetch {name}"):
        run(tools, monkeypatch, f"{name}={SUM}", "--out", tmp_path)
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in capfd.readouterr().err


def test_a_python_without_pip_is_told_and_no_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ended = subprocess.CalledProcessError(1, "ensurepip", output=b"x\nNo module named ensurepip\n")
    monkeypatch.setattr("venv.create", lambda *_, **__: (_ for _ in ()).throw(ended))
    with pytest.raises(
        SystemExit, match=r"no environment with pip \(Debian: python3-venv\): No module named ensurepip"
    ):
        run(tools, monkeypatch, f"packaging-1.0-py3-none-any.whl={SUM}", "--out", tmp_path)


def test_the_program_is_taken_out_of_its_wheel_and_nothing_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "uv.whl", "w") as archive:
        archive.writestr("uv/__init__.py", "raise SystemExit")
        archive.writestr("uv-1.data/scripts/uv", "#!/bin/sh\necho here\n")
    tools.lay_out_uv(tmp_path / "uv.whl", tmp_path / "uv")
    assert subprocess.run([tmp_path / "uv"], check=True, capture_output=True).stdout == b"here\n"


def test_trimming_leaves_what_compiles_and_what_is_asked_for(tmp_path: Path) -> None:
    names = ["bin/nvcc", "bin/ptxas", "bin/cuda-gdb", "bin/ncu", "doc/x", "nsight-compute-1/x", "include/cuda.h"]
    libraries = ["libcudart_static.a", "libcudadevrt.a", "libcublas_static.a", "libcufft_static.a", "libcudart.so.12"]
    home = tmp_path / "cuda"
    for name in [*names, *(f"targets/x86_64-linux/lib/{library}" for library in libraries), "nvvm/bin/cicc"]:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).touch()
    (home / "lib64").symlink_to("targets/x86_64-linux/lib")
    script = str(TOP / "contexts/toolchain/trim-toolkit")
    subprocess.run(["sh", script, str(home), "libcufft*"], check=True)
    left = {path.name for path in home.rglob("*") if path.is_file()}
    kept = {"nvcc", "ptxas", "cicc", "cuda.h", "libcudart_static.a", "libcudadevrt.a", "libcufft_static.a"}
    assert left == kept | {"libcudart.so.12"}


def test_the_shell_reads_the_same_table(tmp_path: Path) -> None:
    table = tmp_path / "table"
    table.write_text("https://a/long/ https://c/\nhttps://a/ https://b/\npypi https://p/simple\n")
    script = (TOP / "contexts/tools/mirrored").read_text().replace("/run/secrets/mirrors", str(table))

    def mirrored(address: str) -> str:
        return subprocess.run(
            ["sh", "-s", address], input=script, check=True, capture_output=True, text=True, env=dict(os.environ)
        ).stdout.strip()

    assert mirrored("https://a/long/x") == "https://c/x"
    assert mirrored("https://a/f") == "https://b/f"
    assert mirrored("pypi") == "https://p/simple"
    assert mirrored("https://other/") == "https://other/"
