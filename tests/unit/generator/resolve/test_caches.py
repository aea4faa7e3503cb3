from __future__ import annotations

import re
from typing import Any

import pytest

from bake.errors import UsageError
from generator.resolve.caches import OFF, branch_of, combined, resolve_caches
from generator.resolve.choices import CacheOptions
from generator.resolve.site import Site


@pytest.mark.parametrize(
    ("wishes", "environ", "branch"),
    [
        ({}, {}, ""),
        ({}, {"GITHUB_REF_NAME": "main"}, ""),
        ({}, {"GITHUB_REF_NAME": "feature-x"}, "feature-x"),
        ({}, {"GITHUB_REF_NAME": "12/merge", "GITHUB_HEAD_REF": "fix"}, "fix"),
        ({}, {"CI_COMMIT_REF_NAME": "trunk", "CI_DEFAULT_BRANCH": "trunk"}, ""),
        ({}, {"CI_COMMIT_REF_NAME": "main", "CI_DEFAULT_BRANCH": "trunk"}, "main"),
        ({"branch": ""}, {"GITHUB_REF_NAME": "feature-x"}, ""),
        ({"branch": "b", "main": "b"}, {}, ""),
    ],
)
def test_the_branch_whose_cache_is_written(wishes: dict[str, Any], environ: dict[str, str], branch: str) -> None:
    assert branch_of(CacheOptions(**wishes), environ) == branch


def test_branches_that_a_tag_can_not_hold_stay_different() -> None:
    names = ["Feature/X", "feature/x", "feature-x", "feature//x", "x" * 200, "x" * 201, "ünicode", "fix_1"]
    slugs = [branch_of(CacheOptions(branch=name), {}) for name in names]
    assert len(set(slugs)) == len(names)
    assert all(len(slug) <= 49 and slug.isascii() and "/" not in slug for slug in slugs)
    assert slugs[2] == "feature-x"


@pytest.mark.parametrize("name", ["key-0123456789abcdef01234567", "key-x"])
def test_no_branch_is_taken_for_the_hash_of_inputs(name: str) -> None:
    slug = branch_of(CacheOptions(branch=name), {})
    assert not re.fullmatch("key-[^-]*", slug)  # as generator/reuse/registry_cache.py writes them


def test_no_branch_takes_the_name_that_another_got() -> None:
    taken = branch_of(CacheOptions(branch="Feature/X"), {})
    assert branch_of(CacheOptions(branch=taken), {}) != taken


@pytest.mark.parametrize(
    "variable",
    ["GITHUB_HEAD_REF", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME"],
)
def test_a_pull_request_never_writes_the_main_branchs_cache(variable: str) -> None:
    slug = branch_of(CacheOptions(), {variable: "main", "CI_COMMIT_REF_NAME": "main"})
    assert slug not in ("", "main", branch_of(CacheOptions(main="x", branch="main"), {}))


def test_no_branch_has_the_name_of_a_key() -> None:
    """The main branch reads ``TARGET.key-HASH``."""
    name = "key-" + "a" * 24
    assert branch_of(CacheOptions(branch=name), {}) not in (name, "")


@pytest.mark.parametrize(
    "environ",
    [
        {"GITHUB_HEAD_REF": "fix", "GITHUB_REF_NAME": "12/merge"},
        {"GITHUB_HEAD_REF": "main", "GITHUB_REF_NAME": "12/merge"},  # a fork's
        {"CI_MERGE_REQUEST_IID": "12", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "main"},
    ],
)
def test_a_pull_request_writes_nothing_that_the_main_branch_reads(environ: dict[str, str]) -> None:
    known = resolve_caches(CacheOptions(cache="lab/c"), registry="lab", environ=environ)
    assert known.readonly
    assert not known.kept
    assert known.variables()["CACHE_MOUNTS"] == "pull-request"
    own = resolve_caches(CacheOptions(cache="lab/of-pulls", readonly=False), registry="lab/pulls", environ=environ)
    assert not own.readonly
    assert own.variables()["CACHE_MOUNTS"] == "pull-request"


def test_other_builds_write_unless_told_not_to() -> None:
    for environ in ({}, {"GITHUB_REF_NAME": "main"}, {"CI_COMMIT_REF_NAME": "feature"}):
        known = resolve_caches(CacheOptions(), registry="lab", environ=environ)
        assert known.kept
        assert known.variables()["CACHE_MOUNTS"] == ""
    assert not resolve_caches(CacheOptions(readonly=True), registry="lab", environ={}).kept


def test_stores_stand_below_the_registry_unless_named_or_turned_off() -> None:
    known = resolve_caches(CacheOptions(), registry="lab:5000/x", environ={})
    assert (known.wheels, known.compiler_cache) == ("lab:5000/x/uplift-wheels", "lab:5000/x/uplift-ccache")
    assert known.repository == ""
    off = resolve_caches(CacheOptions(wheels=OFF, compiler_cache=OFF, cache=OFF), registry="lab:5000/x", environ={})
    assert not off.kept
    named = resolve_caches(CacheOptions(wheels="lab:5000/w", wheels_readonly="other:5000/w"), registry="", environ={})
    assert (named.wheels, named.wheels_readonly, named.compiler_cache) == ("lab:5000/w", "other:5000/w", "")
    assert named.kept


@pytest.mark.parametrize("wishes", [{"wheels": "lab:5000/w:tag"}, {"cache": "Lab/UPPER"}, {"compiler_cache": "a b"}])
def test_what_is_no_repository_is_refused(wishes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        resolve_caches(CacheOptions(**wishes), registry="", environ={})


@pytest.mark.parametrize(
    ("wishes", "environ"),
    [
        ({"cache": "me:canary@lab/x"}, {}),
        ({"wheels": "https://me:canary@lab/x"}, {}),
        ({"cache": "type=s3,bucket=b,endpoint_url=https://me:canary@lab"}, {}),
        ({"cache": "type=s3,bucket=b,endpoint_url=https://me:can=ary,canary@lab"}, {}),
        ({}, {"CACHE_REF": "me:canary@lab/x"}),
        ({}, {"CACHE_TO": "type=registry,ref=me:canary@lab/x"}),
    ],
)
def test_a_login_in_the_name_of_a_cache_is_refused(wishes: dict[str, Any], environ: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="with a login") as caught:
        resolve_caches(CacheOptions(**wishes), registry="", environ=environ)
    assert "canary" not in f"{caught.value} {caught.value.remedy}"


@pytest.mark.parametrize(
    ("text", "read", "written"),
    [
        ("type=gha", "type=gha,scope={target}", "type=gha,scope={target},mode=max,ignore-error=true"),
        (
            "type=gha,scope=x,mode=min",
            "type=gha,scope=x-{target},mode=min",
            "type=gha,scope=x-{target},mode=min,ignore-error=true",
        ),
        (
            "type=s3,region=r,bucket=b",
            "type=s3,region=r,bucket=b,name={target}",
            "type=s3,region=r,bucket=b,name={target},mode=max,ignore-error=true",
        ),
        (
            "type=local,dest=/c/",
            "type=local,src=/c/{target}",
            "type=local,dest=/c/{target},mode=max,ignore-error=true",
        ),
        (
            "type=registry,ref=r/c:{target}",
            "type=registry,ref=r/c:{target}",
            "type=registry,ref=r/c:{target},mode=max,ignore-error=true",
        ),
    ],
)
def test_other_backends_get_a_cache_for_each_target(text: str, read: str, written: str) -> None:
    known = resolve_caches(CacheOptions(cache=text), registry="", environ={"GITHUB_REF_NAME": "feature"})
    assert (known.cache_from, known.cache_to) == (read, written)
    assert known.variables()["CACHE_REF"] == known.variables()["CACHE_BRANCH"] == ""


@pytest.mark.parametrize("text", ["type=registry,ref=r/c", "type=local", "type=", "type=s3;type=gha"])
def test_a_specification_that_all_targets_would_share_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="cache"):
        resolve_caches(CacheOptions(cache=text), registry="", environ={})


CANARY = "canary"


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        (f"type=s3,region=r,bucket=b,access_key_id=AK,secret_access_key={CANARY}", "AWS_SECRET_ACCESS_KEY"),
        (f"type=s3,bucket=b,session_token={CANARY}", "AWS_SESSION_TOKEN"),
        (f'type=s3,bucket=b,"Secret_Access_Key={CANARY},x"', "AWS_SECRET_ACCESS_KEY"),
        (f"type=azblob,account_url=https://a.example,secret_access_key={CANARY}", "AZURE_CLIENT_SECRET"),
        (f"type=azblob,account_url=https://a.example?sv=1&sig={CANARY}", "AZURE_CLIENT_SECRET"),
        (f"type=gha,token={CANARY}", "ACTIONS_RUNTIME_TOKEN"),
        (f"type=gha,ghtoken={CANARY}", "ACTIONS_RUNTIME_TOKEN"),
        (f"type=other,password={CANARY}", "take it out"),
    ],
)
@pytest.mark.parametrize("where", ["--cache", "CACHE_FROM", "CACHE_TO", "CACHE_REF"])
def test_a_secret_in_a_specification_is_refused(text: str, remedy: str, where: str) -> None:
    options = CacheOptions(cache=text) if where == "--cache" else CacheOptions()
    with pytest.raises(UsageError) as caught:
        resolve_caches(options, registry="", environ={} if where == "--cache" else {where: text})
    assert CANARY not in str(caught.value)
    assert remedy in str(caught.value.remedy)


def test_keys_that_are_no_secret_are_taken() -> None:
    text = "type=s3,region=r,bucket=b,prefix=a@b,blobs_prefix=keys/,endpoint_url=https://s3.example"
    assert resolve_caches(CacheOptions(cache=text), registry="", environ={}).cache_from.startswith(text)


def test_options_come_before_the_bake_variable_and_the_site() -> None:
    site = Site.model_validate({"cache": "lab/site", "wheels": "lab/w", "cache-main": "trunk"})
    both = combined(CacheOptions(cache="lab/option"), site)
    assert (both.cache, both.wheels, both.main) == ("lab/option", "lab/w", "trunk")
    assert resolve_caches(both, registry="", environ={"CACHE_REF": "lab/variable"}).repository == "lab/option"
    assert (
        resolve_caches(CacheOptions(), registry="", environ={"CACHE_REF": "lab/variable"}).repository == "lab/variable"
    )
