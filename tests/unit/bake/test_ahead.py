from __future__ import annotations

import threading
from functools import partial

import pytest

from bake.ahead import Ahead, all_ahead
from bake.errors import EnvironmentUnfit

TIMEOUT = 10  # seconds, for what would otherwise wait for ever


def test_questions_are_asked_at_the_same_time_and_answered_in_order():
    together = threading.Barrier(3, timeout=TIMEOUT)

    def ask(number):
        together.wait()  # breaks unless all three are being asked
        return number

    assert all_ahead([partial(ask, number) for number in range(3)]) == [0, 1, 2]


def test_who_asks_goes_on_until_the_answer_is_wanted():
    free = threading.Event()
    asked = Ahead(lambda: free.wait(TIMEOUT))
    free.set()  # only reached when asking does not wait
    assert asked.answer() is True
    assert asked.answer() is True


def test_what_goes_wrong_is_raised_where_the_answer_is_wanted():
    def fail():
        raise EnvironmentUnfit("no engine")

    asked = Ahead(fail)
    with pytest.raises(EnvironmentUnfit, match="no engine"):
        asked.answer()
    with pytest.raises(EnvironmentUnfit, match="no engine"):
        all_ahead([lambda: 1, fail])
