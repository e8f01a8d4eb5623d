"""Blocks of a page, and its command lines at toy size."""

import re
import shlex
from pathlib import Path

import pytest

from openmm_cgml.cli.app import main

_DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page, kind):
    """The texts of the blocks of a page in a language."""
    text = (_DOCS / page).read_text(encoding="utf8")
    return [block for language, block in _BLOCK.findall(text) if language == kind]


def run(line, smaller, toy):
    """Run a command line with words replaced and options added."""
    program, verb, *arguments = (smaller.get(word, word) for word in shlex.split(line))
    assert program == "openmm-cgml"
    with pytest.raises(SystemExit) as leaving:
        main([verb, *arguments, *shlex.split(toy.get(verb, ""))])
    assert leaving.value.code == 0, line
