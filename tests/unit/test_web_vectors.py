"""The vectors that the web client's core is tested with are those that this code makes."""

import pytest

from tests.vectors.__main__ import FOLDER
from tests.vectors.files import written

FILES = written()


@pytest.mark.parametrize("name", FILES)
def test_the_committed_vectors_are_current(name: str) -> None:
    assert (FOLDER / name).read_text() == FILES[name], "write them again: python -m tests.vectors"
