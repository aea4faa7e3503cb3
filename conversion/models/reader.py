"""Takes typed values out of a JSON document and keeps a list of what is wrong in it."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple


class Reader:
    """Every method gives a value of its kind, whatever the document holds; ``mistakes`` has what was wrong."""

    def __init__(self) -> None:
        self.mistakes: List[str] = []

    def wrong(self, place: str, text: str) -> None:
        """Note a mistake at a place of the document."""
        self.mistakes.append(f"{place}: {text}")

    def table(self, raw: Any, place: str, allowed: Optional[Tuple[str, ...]]) -> Dict[str, Any]:
        """An object with no keys but those allowed (None: any)."""
        if not isinstance(raw, dict):
            self.wrong(place, f"must be an object, not {type(raw).__name__}")
            return {}
        for key in raw:
            if allowed is not None and key not in allowed:
                self.wrong(f"{place}.{key}", f"unknown key; known are {', '.join(allowed)}")
        return raw

    def mapping(self, raw: Mapping[str, Any], key: str, place: str) -> Dict[str, Any]:
        """An object with any keys; empty where it is missing."""
        value = raw.get(key)
        return {} if value is None else self.table(value, f"{place}.{key}", None)

    def items(self, raw: Mapping[str, Any], key: str, place: str, what: str = "a list") -> List[Any]:
        """A list; empty where it is missing."""
        value = raw.get(key)
        if value is not None and not isinstance(value, list):
            self.wrong(f"{place}.{key}", f"must be {what}, not {value!r}")
            return []
        return value or []

    def text(self, raw: Mapping[str, Any], key: str, place: str, what: str = "must be a string") -> str:
        """A text that is not empty."""
        value = raw.get(key)
        if not isinstance(value, str) or not value:
            self.wrong(f"{place}.{key}", f"{what}, not {value!r}")
            return ""
        return value

    def texts(self, raw: Mapping[str, Any], key: str, place: str) -> Tuple[str, ...]:
        """A list of texts; empty where it is missing."""
        value = raw.get(key) or []
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            self.wrong(f"{place}.{key}", f"must be a list of strings, not {value!r}")
            return ()
        return tuple(value)

    def number(self, raw: Mapping[str, Any], key: str, place: str, default: Optional[float]) -> float:
        """A finite number."""
        value = raw.get(key, default)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not abs(value) < float("inf"):
            self.wrong(f"{place}.{key}", f"must be a number, not {value!r}")
            return 0.0
        return value
