"""Several machines that share one run: which of them this is, and where they meet."""

from __future__ import annotations

import shlex
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UserError

DEFAULT_PORT = 29512
FLAGS = ("--nodes", "--node-rank", "--rendezvous")


@dataclass(frozen=True)
class Nodes:
    """`rank` counts machines from 0; machine 0 holds the run's lock and its rendezvous at `address`:`port`."""

    count: int = 1
    rank: int = 0
    address: str = ""
    port: int = DEFAULT_PORT

    def words(self, rank: int | None = None) -> list[str]:
        """The arguments by which an engine gets to know this; nothing for one machine."""
        if self.count == 1:
            return []
        number = self.rank if rank is None else rank
        return ["--nodes", str(self.count), "--node-rank", str(number), "--rendezvous", f"{self.address}:{self.port}"]


ONE_NODE = Nodes()


def parse_nodes(words: Sequence[str]) -> Nodes:
    """Read what `Nodes.words` wrote. Raises ValueError for anything else."""
    given = dict(zip(words[::2], words[1::2], strict=True))
    if not set(given) <= set(FLAGS):
        raise ValueError(f"unknown: {sorted(set(given) - set(FLAGS))}")
    address, port = parse_rendezvous(given["--rendezvous"]) if "--rendezvous" in given else ("", DEFAULT_PORT)
    found = Nodes(int(given.get("--nodes", 1)), int(given.get("--node-rank", 0)), address, port)
    if not 0 <= found.rank < found.count:
        raise ValueError(f"node {found.rank} of {found.count}")
    return found


def parse_rendezvous(text: str) -> tuple[str, int]:
    """`host` or `host:port` taken apart. Raises UserError."""
    address, _, port = text.partition(":")
    if not address or (port and not port.isdigit()):
        raise UserError(f"{text!r} is no address.", "--rendezvous", "Write host or host:port, as in node1:29512.")
    return address, int(port) if port else DEFAULT_PORT


def first_node(count: int, rendezvous: str = "") -> Nodes:
    """This machine as the first of `count`; others find it under its own name unless `rendezvous` says another."""
    address, port = parse_rendezvous(rendezvous) if rendezvous else (socket.gethostname(), DEFAULT_PORT)
    return Nodes(count, 0, address, port)


def command_on(nodes: Nodes, rank: int, run: Path, resume: bool = False) -> str:
    """What a person types on machine `rank`; the folder of the run has to be there under the same path."""
    again = ["--resume"] if resume else []
    return shlex.join([sys.executable, "-P", "-m", "engine", "train", str(run), *again, *nodes.words(rank)])
