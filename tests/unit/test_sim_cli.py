"""The verb ``sim`` before anything is started."""

from pathlib import Path

import pytest

from roost.cli import command_line, terminal


def test_a_ledger_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ledger-0.db").touch()
    assert command_line.main(["sim", "--ledger", str(tmp_path)]) == terminal.BAD_USAGE
    assert "give a new folder" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize("option", ["--report", "--json"])
@pytest.mark.parametrize("place", ["", "none/r.html", "file/r.html"])
def test_where_nothing_can_be_written_is_said_before_the_run(
    tmp_path: Path, option: str, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as left:
        command_line.main(["sim", option, str(tmp_path / place)])
    assert left.value.code == terminal.BAD_USAGE
    assert f"{tmp_path / place} cannot be written" in capsys.readouterr().err
