"""The network of the laboratory: a bridge of our own on the host, and namespaces plugged into it by veth pairs.

The host's end has one address that every namespace and the host itself reach: registries listen there. What leaves the
namespaces for elsewhere goes out by the host's address (MASQUERADE), as containers of the host's engine do. No engine
is ever told of this bridge (Moby deletes ``docker0`` when a second daemon in one namespace gets another bridge).
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import socket
from pathlib import Path

from typing_extensions import Self

from tests.engine.network.processes import PREFIX, run

NAMESPACES = Path("/run/netns")
FOLDERS = Path("/var/tmp")  # on a disk everywhere (FHS), unlike /tmp
_NUMBERS = itertools.count()


class Switch:
    """A bridge with a subnet that nobody uses; ``address`` is the host's end.

    Use as a context manager; leaving it removes bridge, namespaces and rules.
    """

    def __init__(self) -> None:
        assert os.geteuid() == 0, "network namespaces are for root: run the engine tests as root"
        sweep()
        self.name = f"{PREFIX}{os.getpid()}b{next(_NUMBERS)}"
        self._subnet = _free_subnet()
        self._mark = ("-m", "comment", "--comment", self.name)
        self._namespaces: dict[str, str] = {}

    @property
    def address(self) -> str:
        """The host's end: where registries listen."""
        return f"{self._subnet}.1"

    def __enter__(self) -> Self:
        run("ip", "link", "add", self.name, "type", "bridge")
        try:
            run("ip", "address", "add", f"{self.address}/24", "dev", self.name)
            run("ip", "link", "set", self.name, "up")
            for rule in self._rules():
                run("iptables", "--wait", *rule)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._namespaces):
            self.unplug(name)
        _remove_rules(self.name)
        run("ip", "link", "delete", self.name, check=False)

    def plug(self, name: str) -> Path:
        """Make a namespace on this switch with a way out, and give its path (for ``nsenter --net``)."""
        namespace, number = f"{self.name}-{name}", next(_NUMBERS)
        host = f"{PREFIX}{os.getpid()}v{number}"
        self._namespaces[name] = host
        run("ip", "netns", "add", namespace)
        run("ip", "link", "add", host, "mtu", mtu(), "type", "veth", "peer", "name", "eth0", "netns", namespace)
        run("ip", "link", "set", host, "master", self.name, "up")
        run("ip", "-n", namespace, "address", "add", f"{self._subnet}.{10 + number}/24", "dev", "eth0")
        run("ip", "-n", namespace, "link", "set", "eth0", "mtu", mtu(), "up")
        run("ip", "-n", namespace, "link", "set", "lo", "up")
        run("ip", "-n", namespace, "route", "add", "default", "via", self.address)
        return NAMESPACES / namespace

    def unplug(self, name: str) -> None:
        """Remove a namespace; what runs in it must have ended."""
        run("ip", "link", "delete", self._namespaces.pop(name), check=False)
        run("ip", "netns", "delete", f"{self.name}-{name}", check=False)

    def free_port(self) -> int:
        """A port of the host's end that nobody listens on."""
        with socket.socket() as free:
            free.bind((self.address, 0))
            port: int = free.getsockname()[1]
        return port

    def _rules(self) -> list[list[str]]:
        subnet = f"{self._subnet}.0/24"
        return [
            ["-I", "FORWARD", "-s", subnet, *self._mark, "-j", "ACCEPT"],
            ["-I", "FORWARD", "-d", subnet, *self._mark, "-j", "ACCEPT"],
            ["-t", "nat", "-I", "POSTROUTING", "-s", subnet, "!", "-d", subnet, *self._mark, "-j", "MASQUERADE"],
        ]


def sweep() -> None:
    """Remove what runs that were killed left behind: namespaces, interfaces, rules and folders of dead processes."""
    for path in (*NAMESPACES.glob(f"{PREFIX}*"), *Path("/sys/class/net").glob(f"{PREFIX}*b*")):
        if _is_left(path.name):
            run("ip", *(("netns",) if path.parent == NAMESPACES else ("link",)), "delete", path.name, check=False)
            _remove_rules(path.name)
    for folder in FOLDERS.glob(f"{PREFIX}*"):
        if _is_left(folder.name):
            shutil.rmtree(folder, ignore_errors=True)


def _is_left(name: str) -> bool:
    owner = re.match(rf"{PREFIX}(\d+)", name)
    return owner is not None and not Path(f"/proc/{owner[1]}").exists()


def _remove_rules(mark: str) -> None:
    for table, chain in (("filter", "FORWARD"), ("nat", "POSTROUTING")):
        for line in run("iptables", "--wait", "-t", table, "-S", chain).splitlines():
            if mark in line.split():
                run("iptables", "--wait", "-t", table, *line.replace("-A", "-D", 1).split())


def _free_subnet() -> str:
    used = run("ip", "-4", "route", "show", "table", "all")
    order = (10 + (os.getpid() + turn) % 240 for turn in range(240))  # two runs at once begin at different places
    return next(subnet for third in order if f"{(subnet := f'10.231.{third}')}." not in used)


def mtu() -> str:
    """The MTU of the host's way out: with a larger one, packets of the namespaces would be dropped there."""
    out = re.search(r"\bdev (\S+)", run("ip", "-4", "route", "show", "default"))
    return Path(f"/sys/class/net/{out[1]}/mtu").read_text().strip() if out else "1500"
