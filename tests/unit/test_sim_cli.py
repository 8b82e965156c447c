"""The verb ``sim`` before anything is started."""

from pathlib import Path

import pytest

from roost.cli import command_line, terminal


def test_a_ledger_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ledger-0.db").touch()
    assert command_line.main(["sim", "--ledger", str(tmp_path)]) == terminal.BAD_USAGE
    assert "give a new folder" in capsys.readouterr().err.replace("\n", " ")
