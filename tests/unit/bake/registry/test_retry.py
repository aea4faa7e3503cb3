from __future__ import annotations

from itertools import count

import pytest

from bake.registry import Answer, Outcome
from bake.registry.troubles import of_answer, of_status, of_text, retry_after
from bake.retry import Policy, Trouble, retried


def run(troubles, policy=None, slept=None):
    """Let each try end in the next trouble; None is success."""
    said: list[str] = []
    slept = [] if slept is None else slept
    numbers = count()
    result, tries = retried(
        lambda: next(numbers),
        lambda number: troubles[number],
        policy or Policy(),
        said.append,
        sleep=slept.append,
    )
    return result, tries, said, slept


def test_what_works_at_once_is_tried_once():
    result, tries, said, slept = run([None])
    assert (result, len(tries), said, slept) == (0, 1, [], [])


def test_waits_double_and_each_is_told():
    _, tries, said, slept = run([Trouble(reason="it broke")] * 3 + [None])
    assert slept == [2.0, 4.0, 8.0]
    assert said == [f"try {number} of 6 failed: it broke; again in {2**number} s" for number in (1, 2, 3)]
    assert [entry.error for entry in tries] == ["it broke"] * 3 + [""]


def test_it_ends_with_the_last_try():
    result, tries, _, slept = run([Trouble(reason="x")] * 9, Policy(tries=3))
    assert (result, len(tries), slept) == (2, 3, [2.0, 4.0])


def test_what_does_not_pass_is_not_tried_again():
    result, tries, said, slept = run([Trouble(reason="403", passing=False), None])
    assert (result, len(tries), said, slept) == (0, 1, [], [])


def test_the_other_side_says_how_long():
    assert run([Trouble(reason="429", after=17.0), None])[3] == [17.0]


def test_a_wait_beyond_the_limit_ends_it():
    result, _, said, slept = run([Trouble(reason="429", after=500.0), None], Policy(wait=120))
    assert (result, slept) == (0, [])
    assert "would pass the limit of 120 s" in said[0]


def test_a_reason_may_have_a_limit_of_its_own():
    login = Trouble(reason="401", most=2)
    assert len(run([login] * 9)[1]) == 3
    assert len(run([login, login, Trouble(reason="EOF"), login, None])[1]) == 5


TEXTS = {
    'failed to push r/x:1: failed to copy: failed to do request: Put "http://r/v2/x": connection reset by peer': True,
    'failed to push r/x:1: failed to do request: Head "https://r/v2/x": EOF': True,
    "failed to push r/x:1: unexpected status from PUT request to https://r/v2/x: 500 Internal Server Error": True,
    "failed to push r/x:1: unexpected status from POST request to https://r/v2/x: 429 Too Many Requests": True,
    "failed to push r/x:1: unexpected status from PUT request to https://r/v2/x: 401 Unauthorized": True,
    'failed to do request: Put "https://r/v2/x": dial tcp 10.0.0.1:443: connect: connection refused': True,
    'failed to do request: Put "https://r/v2/x": net/http: TLS handshake timeout': True,
    "failed to push r/x:1: unexpected status from PUT request to https://r/v2/x: 403 Forbidden": False,
    "failed to push r/x:1: unexpected status from PUT request to https://r/v2/x: 413 Request Entity Too Large": False,
    "failed to push r/x:1: unexpected status from POST request to https://r/v2/x: 404 Not Found": False,
    "failed to push r/x:1: unexpected status from POST request to https://r/v2/x: 501 Not Implemented": False,
    'failed to do request: Head "https://r/v2/x": dial tcp: lookup r on 10.0.0.2:53: no such host': False,
    'failed to do request: Head "https://r/v2/x": tls: failed to verify certificate: x509: unknown authority': False,
    "rpc error: code = Unavailable desc = unexpected status from PUT request to https://r/v2/x: 503 Unavailable": True,
    "rpc error: code = Unavailable desc = error reading from server: EOF": False,
    "process did not complete successfully: exit code: 1": False,
}


@pytest.mark.parametrize("text", TEXTS)
def test_what_may_pass(text):
    assert of_text(text).passing is TEXTS[text]


def test_a_digest_in_an_address_is_no_status():
    text = "unexpected status from PUT request to http://r:5000/v2/x?digest=sha256%3A4290: 413 Request Entity Too Large"
    assert of_text(text).reason == "the registry answered 413 Request Entity Too Large"


def test_a_refused_login_is_tried_again_twice_at_most():
    assert of_status(401, "Unauthorized").most == 2


def answer(outcome, status=0, **headers):
    return Answer(outcome=outcome, url="u", status=status, detail=f"{status} x", headers=headers)


def test_answers():
    assert of_answer(answer(Outcome.ANSWERS, 201)) is None
    outcomes = (Outcome.TIMEOUT, Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.TLS, Outcome.NAME)
    judged = [of_answer(answer(outcome)) for outcome in outcomes]
    assert [trouble is not None and trouble.passing for trouble in judged] == [True, True, True, False, False]
    limited = of_answer(answer(Outcome.ERROR, 429, **{"retry-after": "30"}))
    assert limited is not None
    assert (limited.passing, limited.after) == (True, 30.0)
    refused = of_answer(answer(Outcome.FORBIDDEN, 403))
    assert refused is not None
    assert not refused.passing


def test_retry_after_is_a_number_or_a_date():
    assert retry_after({"retry-after": "7"}) == 7.0
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
    for odd in ("soon", "\u00b2", "9" * 5000, "-1", "1e9"):
        assert retry_after({"retry-after": odd}) is None
    assert retry_after({}) is None
