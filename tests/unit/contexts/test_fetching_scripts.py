"""The scripts that fetch inside builds, against a server on the loopback address."""

from __future__ import annotations

import base64
import hashlib
import http.server
import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

TOP = Path(__file__).parents[3]
CONTENT = b"content of the file\n" * 1000
SUM = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    files: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[tuple[str, str | None]]] = []
    breaks: ClassVar[list[int]] = []
    password: ClassVar[str | None] = None
    moved: ClassVar[dict[str, str]] = {}
    logins: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Range")))
        self.logins.append((f"http://{self.headers['Host']}{self.path}", self.headers.get("Authorization")))
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
    Handler.moved, Handler.logins = {}, []
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


@pytest.fixture
def download(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("download", TOP / "contexts/tools/download.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "MIRRORS", tmp_path / "mirrors")
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setitem(sys.modules, "download", module)
    return module


def run(module: Any, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["script", *map(str, arguments)])
    module.main()


def get(download: Any, monkeypatch: pytest.MonkeyPatch, out: Path, *urls: str, sha256: str = SUM, host: Path) -> bytes:
    run(download, monkeypatch, "--file", "f", "--sha256", sha256, "--host-folder", host, "--out", out, *urls)
    return (out / "f").read_bytes()


def test_a_broken_download_goes_on_where_it_broke_off(
    download: Any, monkeypatch: pytest.MonkeyPatch, server: str, tmp_path: Path
) -> None:
    Handler.files["/f"] = CONTENT
    Handler.breaks += [5000, 9000]
    assert get(download, monkeypatch, tmp_path / "out", f"{server}/f", host=tmp_path) == CONTENT
    assert [asked for _, asked in Handler.asked] == [None, "bytes=5000-", "bytes=9000-"]


def test_the_next_address_is_tried_and_the_checksum_decides(
    download: Any, monkeypatch: pytest.MonkeyPatch, server: str, tmp_path: Path
) -> None:
    Handler.files |= {"/wrong": b"something else", "/right": CONTENT}
    urls = [f"{server}/none", f"{server}/wrong", f"{server}/right"]
    assert get(download, monkeypatch, tmp_path / "out", *urls, host=tmp_path) == CONTENT


def test_every_reason_is_told_when_no_address_gives_the_file(
    download: Any, monkeypatch: pytest.MonkeyPatch, server: str, tmp_path: Path
) -> None:
    Handler.files["/wrong"] = b"x"
    with pytest.raises(SystemExit) as caught:
        get(download, monkeypatch, tmp_path / "out", f"{server}/none", f"{server}/wrong", host=tmp_path)
    assert "404" in str(caught.value)
    assert "expected" in str(caught.value)
    assert not (tmp_path / "out/f").exists()


def test_a_file_of_the_host_is_used_after_its_checksum(
    download: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(CONTENT)
    assert get(download, monkeypatch, tmp_path / "out", "http://127.0.0.1:1/f", host=tmp_path) == CONTENT
    with pytest.raises(ValueError, match="expected 0000"):
        get(download, monkeypatch, tmp_path / "o2", "http://127.0.0.1:1/f", sha256="0" * 64, host=tmp_path)


def test_mirrors_checksums_and_credentials_of_the_place_are_used(
    download: Any, monkeypatch: pytest.MonkeyPatch, server: str, tmp_path: Path
) -> None:
    Handler.files["/lab/f"] = CONTENT
    Handler.password = "Basic " + base64.b64encode(b"me:word").decode()
    original = "https://origin.example/f"
    (tmp_path / "mirrors").write_text(f"https://origin.example/ {server}/lab/\nsha256:{original} {SUM}\n")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password word\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    out = tmp_path / "out"
    assert get(download, monkeypatch, out, original, sha256="f" * 64, host=tmp_path / "none") == CONTENT


BASIC = "Basic " + base64.b64encode(b"me:word").decode()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password word\ndefault login me password word\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.mark.usefixtures("credentials")
def test_a_login_follows_a_redirect_to_the_same_server_alone(
    download: Any, monkeypatch: pytest.MonkeyPatch, server: str, other: str, tmp_path: Path
) -> None:
    Handler.files["/f"] = CONTENT
    Handler.moved |= {"/here": "/there", "/there": f"{other}/f"}
    assert get(download, monkeypatch, tmp_path / "out", f"{server}/here", host=tmp_path) == CONTENT
    assert Handler.logins == [(f"{server}/here", BASIC), (f"{server}/there", BASIC), (f"{other}/f", None)]


def test_another_scheme_or_port_is_another_server(download: Any) -> None:
    assert download.origin("https://lab/x") == download.origin("https://LAB:443/y")
    assert len({download.origin(url) for url in ("https://lab/", "http://lab/", "https://lab:8443/")}) == 3


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("moved", [False, True])
def test_a_page_of_links_leads_a_login_to_no_other_server(
    prebuilt: Any, monkeypatch: pytest.MonkeyPatch, server: str, other: str, tmp_path: Path, moved: bool
) -> None:
    name = f"torch_x-1.0+pt27cu128-{tag()}.whl"
    at = "https://origin.example" if moved else other
    (tmp_path / "mirrors").write_text(f"https://origin.example/ {other}/\n")
    Handler.files |= {"/p.html": page(f"{at}/{name}"), f"/{name.replace('+', '%2B')}": b"wheel"}
    assert find(prebuilt, monkeypatch, server, tmp_path / "out") == [name]
    # The table of mirrors is the place's own: where it leads, the place's login may go.
    assert [login for url, login in Handler.logins if url.startswith(other)] == [BASIC if moved else None]


def test_credentials_in_an_address_are_not_shown(download: Any) -> None:
    assert download.shown("https://me:word@lab.example/f") == "https://lab.example/f"
    assert "word" not in download.shown("https://lab.example/f?token=word#word")


@pytest.fixture
def prebuilt(download: Any) -> Any:
    spec = importlib.util.spec_from_file_location("prebuilt", TOP / "contexts/source/prebuilt.py")
    assert spec is not None
    assert spec.loader is not None
    assert download is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tag() -> str:
    return f"cp{sys.version_info[0]}{sys.version_info[1]}-cp{sys.version_info[0]}{sys.version_info[1]}-linux_x86_64"


def page(*names: str) -> bytes:
    return "".join(f'<a href="{name.replace("+", "%2B")}">x</a>' for name in names).encode()


def find(prebuilt: Any, monkeypatch: pytest.MonkeyPatch, server: str, out: Path, *more: str) -> list[str]:
    options = ["--page", f"{server}/p.html", "--package", "torch-x", "--version", "1.0+pt27cu128", "--out", out]
    run(prebuilt, monkeypatch, *options, *more)
    return sorted(path.name for path in out.iterdir())


def test_the_wheel_of_this_python_and_version_is_taken(
    prebuilt: Any, monkeypatch: pytest.MonkeyPatch, server: str, tmp_path: Path
) -> None:
    wanted = f"torch_x-1.0+pt27cu128-{tag()}.whl"
    others = ["torch_x-1.0+pt27cu128-cp27-cp27m-linux_x86_64.whl", f"torch_x-1.0+pt27cpu-{tag()}.whl"]
    others += [f"torch_xy-1.0+pt27cu128-{tag()}.whl", f"torch_x-1.0.1+pt27cu128-{tag()}.whl", "torch_x-1.0.tar.gz"]
    Handler.files |= {"/p.html": page(*others, wanted), f"/{wanted.replace('+', '%2B')}": b"wheel"}
    assert find(prebuilt, monkeypatch, server, tmp_path / "out") == [wanted]


def test_a_digest_on_the_page_is_checked(
    prebuilt: Any, monkeypatch: pytest.MonkeyPatch, server: str, tmp_path: Path
) -> None:
    name = f"torch_x-1.0+pt27cu128-{tag()}.whl"
    Handler.files |= {"/p.html": page(f"{name}#sha256={'0' * 64}"), f"/{name.replace('+', '%2B')}": b"wheel"}
    with pytest.raises(SystemExit, match="expected 0000"):
        find(prebuilt, monkeypatch, server, tmp_path / "out")


def test_no_wheel_that_fits_is_an_error_or_a_compile(
    prebuilt: Any, monkeypatch: pytest.MonkeyPatch, server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Handler.files["/p.html"] = page(f"torch_x-0.9+pt27cu128-{tag()}.whl")
    with pytest.raises(SystemExit, match="no wheel of torch-x"):
        find(prebuilt, monkeypatch, server, tmp_path / "out")
    assert find(prebuilt, monkeypatch, server, tmp_path / "out", "--optional") == []
    assert "it will be compiled" in capsys.readouterr().out


def test_a_page_that_can_not_be_read_never_turns_into_a_compile(
    prebuilt: Any, monkeypatch: pytest.MonkeyPatch, server: str, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match="can't be read"):
        find(prebuilt, monkeypatch, server, tmp_path / "out", "--optional")


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
    table.write_text(
        "https://a/long/ https://c/\nhttps://a/ https://b/\npypi https://p/simple\nsha256:https://a/f 00\n"
    )
    script = (TOP / "contexts/tools/mirrored").read_text().replace("/run/secrets/mirrors", str(table))

    def mirrored(address: str) -> str:
        return subprocess.run(
            ["sh", "-s", address], input=script, check=True, capture_output=True, text=True, env=dict(os.environ)
        ).stdout.strip()

    assert mirrored("https://a/long/x") == "https://c/x"
    assert mirrored("https://a/f") == "https://b/f"
    assert mirrored("pypi") == "https://p/simple"
    assert mirrored("https://other/") == "https://other/"
