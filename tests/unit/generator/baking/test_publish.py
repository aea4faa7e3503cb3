from __future__ import annotations

import re

import pytest

from bake.errors import BuildFailed, EnvironmentUnfit, Interrupted, UsageError
from bake.reference import check_tag
from bake.retry import Trouble, Try
from generator.baking.publish import _told
from generator.baking.tags import content_tag
from generator.resolve.facts import Facts
from generator.resolve.resolve import _more_tags

DIGEST = "sha256:3f2a1b0c9d8e" + "7" * 52
TRIES = tuple(Try(number=number, at=0.0, seconds=1.0, error="x") for number in (1, 2))


def test_the_tag_of_a_content():
    assert content_tag("25.1.0-rtx5090", DIGEST) == "25.1.0-rtx5090-3f2a1b0c9d8e"


def test_the_tag_of_a_content_is_never_too_long():
    tag = content_tag("x" * 128, DIGEST)
    assert check_tag(tag) == "x" * 115 + "-3f2a1b0c9d8e"


def test_more_tags_are_of_the_same_repository():
    assert _more_tags("a/deepprep:1", ("latest", "a/deepprep:2", "latest")) == ("a/deepprep:latest", "a/deepprep:2")


@pytest.mark.parametrize(
    ("tag", "registry", "names"),
    [
        ("a/deepprep:1", "", ("a/deepprep:2", "a/deepprep:1")),
        (
            "a/deepprep",
            "r.example:5000/lab",
            ("r.example:5000/lab/a/deepprep:2", "r.example:5000/lab/a/deepprep:latest"),
        ),
    ],
)
def test_all_names_of_an_image_have_a_tag_and_the_first_comes_last(tag, registry, names):
    facts = Facts(tag=tag, registry=registry, base="b", archs="9.0", ca_bundle=None, more_tags=("a/deepprep:2",))
    assert facts.names == names


@pytest.mark.parametrize(("tag", "message"), [("other:1", "another repository"), ("-x", "not a tag"), ("a b", "not a")])
def test_tags_that_are_refused(tag, message):
    with pytest.raises(UsageError, match=message):
        _more_tags("deepprep:1", (tag,))


def test_a_broken_network_is_no_failed_build():
    text = 'failed to push r/x:1: Put "http://r/v2/x/blobs/uploads/1?_state=abc%3D&digest=sha256%3A97": broken pipe'
    told = _told(BuildFailed(text, where="target image"), Trouble(reason="the connection was reset"), TRIES)
    assert isinstance(told, EnvironmentUnfit)
    assert told.message.startswith("the push failed 2 times, the last time: the connection was reset\n")
    assert "_state" not in told.message
    assert "no tag in use has moved" in str(told.remedy)


def test_a_refusal_keeps_its_cause():
    known = EnvironmentUnfit("the registry forbids it", where="target image", remedy="ask for the right")
    told = _told(known, Trouble(reason="403", passing=False), TRIES[:1])
    assert told.message == "the push failed: the registry forbids it"
    assert re.match(r"ask for the right \(no tag in use has moved", str(told.remedy))


def test_an_interrupt_stays_one():
    stopped = Interrupted("cancelled")
    assert _told(stopped, None, TRIES) is stopped
