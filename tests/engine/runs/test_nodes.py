"""Which of several machines this is: written and read by the same words."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.__main__ import _of_run
from engine.errors import UserError
from engine.runs.nodes import DEFAULT_PORT, ONE_NODE, Nodes, command_on, first_node, parse_nodes, parse_rendezvous


def test_the_words_of_a_machine_are_read_as_they_were_written() -> None:
    nodes = Nodes(3, 1, "head", 29000)
    assert parse_nodes(nodes.words()) == nodes
    assert parse_nodes(nodes.words(2)) == Nodes(3, 2, "head", 29000)
    assert parse_nodes([]) == ONE_NODE
    assert ONE_NODE.words() == []
    with pytest.raises(ValueError, match="node 3 of 3"):
        parse_nodes(nodes.words(3))
    with pytest.raises(ValueError, match="unknown"):
        parse_nodes(["--node", "2"])


def test_the_first_machine_is_found_under_its_name_unless_another_is_given() -> None:
    assert first_node(2).address
    assert (first_node(2, "a:5").address, first_node(2, "a:5").port) == ("a", 5)
    assert parse_rendezvous("a") == ("a", DEFAULT_PORT)
    for text in ("", ":5", "a:b"):
        with pytest.raises(UserError, match="no address"):
            parse_rendezvous(text)


def test_the_command_for_another_machine_can_be_typed_as_it_is() -> None:
    words = command_on(Nodes(3, 0, "head", 29000), 2, Path("/r/a"), resume=True).split()
    assert words[1:5] == ["-P", "-m", "engine", "train"]
    assert _of_run(words[5:]) == (Path("/r/a"), True, Nodes(3, 2, "head", 29000))
    assert _of_run(["/r/a"]) == (Path("/r/a"), False, ONE_NODE)
    assert _of_run([]) is None
    assert _of_run(["/r/a", "--nodes"]) is None
