"""The verb ``sim`` before anything is started."""

from pathlib import Path

import pytest

from roost import cli


def test_a_ledger_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ledger-0.db").touch()
    assert cli.main(["sim", "--ledger", str(tmp_path)]) == cli.BAD_USAGE
    assert "give a new folder" in capsys.readouterr().err.replace("\n", " ")
