from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bake.errors import UsageError
from bake.reference import check_tag, is_loopback, parse_reference, parse_registry

DIGEST = "sha256:" + "0123456789abcdef" * 4


# Cases of github.com/distribution/reference, reference_test.go and normalize_test.go.
@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest"),
    [
        ("test_com", "docker.io", "library/test_com", None, None),
        ("test.com:tag", "docker.io", "library/test.com", "tag", None),
        ("test.com:5000", "docker.io", "library/test.com", "5000", None),
        ("test.com/repo:tag", "test.com", "repo", "tag", None),
        ("test:5000/repo", "test:5000", "repo", None, None),
        ("test:5000/repo:tag", "test:5000", "repo", "tag", None),
        (f"test:5000/repo@{DIGEST}", "test:5000", "repo", None, DIGEST),
        (f"test:5000/repo:tag@{DIGEST}", "test:5000", "repo", "tag", DIGEST),
        ("lowercase:Uppercase", "docker.io", "library/lowercase", "Uppercase", None),
        ("sub-dom1.foo.com/bar/baz/quux", "sub-dom1.foo.com", "bar/baz/quux", None, None),
        ("b.gcr.io/test.example.com/my-app:test.example.com", "b.gcr.io", "test.example.com/my-app",
         "test.example.com", None),
        ("xn--7o8h.com/myimage:xn--7o8h.com", "xn--7o8h.com", "myimage", "xn--7o8h.com", None),
        ("foo_bar.com:8080", "docker.io", "library/foo_bar.com", "8080", None),
        ("foo/foo_bar.com:8080", "docker.io", "foo/foo_bar.com", "8080", None),
        ("192.168.1.1:123/a/b", "192.168.1.1:123", "a/b", None, None),
        ("[2001:db8::1]:5000/repo", "[2001:db8::1]:5000", "repo", None, None),
        ("[2001:db8::1]/repo", "[2001:db8::1]", "repo", None, None),
        ("localhost/x", "localhost", "x", None, None),
        ("pbfslab/deepprep:25.1.0", "docker.io", "pbfslab/deepprep", "25.1.0", None),
        ("index.docker.io/a", "docker.io", "library/a", None, None),
    ],
)  # fmt: skip
def test_valid(text, registry, repository, tag, digest):
    found = parse_reference(text)
    assert (found.registry, found.repository, found.tag, found.digest) == (registry, repository, tag, digest)
    assert parse_reference(str(found)) == found


@pytest.mark.parametrize(
    "text",
    ["", ":justtag", f"@{DIGEST}", "repo@sha256:ffff", "validname@invaliddigest:" + "f" * 100, "Uppercase:tag",
     "test:5000/Uppercase/lowercase:tag", "a" * 256, "aa/asdf$$^/aa", "-foo/bar", "foo/bar-", "a//b", "a/b:", "a b",
     "foo.com/x__.y", "[fe80::1%eth0]:5000/repo", "x:" + "t" * 129, "x:-t", "x:\u0660"],
)  # fmt: skip
def test_invalid(text):
    with pytest.raises(UsageError) as caught:
        parse_reference(text, where="recipe.toml:3")
    assert str(caught.value).startswith("recipe.toml:3: ")
    assert caught.value.remedy


@given(st.text(max_size=60))
def test_anything_is_parsed_or_refused(text):
    try:
        found = parse_reference(text)
    except UsageError:
        return
    assert parse_reference(str(found)) == found


def test_tags():
    assert check_tag("25.1.0-rtx5090") == "25.1.0-rtx5090"
    with pytest.raises(UsageError, match="is not a tag"):
        check_tag("a/b")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("https://r.example:5000/", "r.example:5000"), (" r.example/team ", "r.example/team"), ("localhost", "localhost")],
)
def test_registries(text, expected):
    assert parse_registry(text) == expected


@pytest.mark.parametrize("text", ["", "r.example/Team", "a b", "r.example:port", "ftp://x", "-x"])
def test_no_registries(text):
    with pytest.raises(UsageError, match="is not a registry"):
        parse_registry(text, where="--registry")


@pytest.mark.parametrize(
    ("registry", "expected"),
    [("127.0.0.1:5000", True), ("127.1.2.3", True), ("localhost:1/x", True), ("[::1]:5000", True),
     ("r.example", False), ("10.0.0.1:5000", False), ("docker.io", False)],
)  # fmt: skip
def test_loopback(registry, expected):
    assert is_loopback(registry) is expected
