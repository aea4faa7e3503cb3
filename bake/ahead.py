"""Questions that take a while, asked in threads of their own while something else goes on."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_Answer = TypeVar("_Answer")


class Ahead(Generic[_Answer]):
    """A question that is being asked. Who is interrupted does not wait for the answer: the thread is a daemon's.

    Args:
        ask: asks. It should import nothing large: two threads that import wait for each other.

    """

    def __init__(self, ask: Callable[[], _Answer]) -> None:
        self._ask = ask
        self._answers: list[_Answer] = []
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ahead", daemon=True)
        self._thread.start()

    def answer(self) -> _Answer:
        """Wait for the answer, and give it; raises what the question raised."""
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._answers[0]

    def _run(self) -> None:
        try:
            self._answers.append(self._ask())
        except BaseException as failure:  # noqa: BLE001 - handed to whoever wants the answer
            self._failure = failure


def all_ahead(questions: Iterable[Callable[[], _Answer]]) -> list[_Answer]:
    """Ask several at the same time, and give their answers in order; raises what the first failed one raised."""
    asked = [Ahead(question) for question in questions]
    return [entry.answer() for entry in asked]
