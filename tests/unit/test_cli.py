"""The command line: verbs of other distributions, and exit codes."""

import argparse
import signal
import subprocess
import sys
from typing import Any

import pytest

from roost.cli import arguments, command_line
from roost.cli.terminal import BadUsage
from roost.errors import RoostError, Unavailable


class Verb:
    help = "a verb of a server"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--code", type=int, default=0)
        parser.add_argument("--fail")
        parser.add_argument("--signal", type=int, nargs="*", default=[])

    def run(self, args: argparse.Namespace) -> int:
        if args.fail == "away":
            raise Unavailable("MongoDB does not answer: start it.")
        if args.fail == "refused":
            raise RoostError("forbidden", "The token is no admin's.")
        if args.fail == "interrupt":
            raise KeyboardInterrupt
        if args.fail == "usage":
            raise BadUsage("The folder is a file: choose another.")
        if args.fail == "system":
            raise OSError(28, "No space left on device")
        signal.pthread_sigmask(signal.SIG_BLOCK, args.signal)
        for number in args.signal:
            signal.raise_signal(number)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, args.signal)  # they arrive together
        return int(args.code)


class Entry:
    def __init__(self, name: str, found: Any) -> None:
        self.name = name
        self.value = f"somewhere:{name}"
        self.found = found

    def load(self) -> Any:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [Entry("serve", Verb()), Entry("made", Verb), Entry("gone", ImportError("No module named 'x'"))]
    monkeypatch.setattr(
        command_line, "entry_points", lambda group: entries if group == "roost.commands" else []
    )


@pytest.mark.parametrize("verb", ["serve", "made"])
def test_a_verb_of_a_server_runs_as_object_or_class(verb: str) -> None:
    assert command_line.main([verb, "--code", "1"]) == 1


@pytest.mark.parametrize(
    ("fail", "code", "said"),
    [
        ("away", 3, "start it."),
        ("refused", 1, "no admin's. (forbidden)"),
        ("interrupt", 1, "Interrupted"),
        ("usage", 2, "choose another."),
        ("system", 1, "No space left on device"),
    ],
)
def test_errors_become_a_sentence_and_a_code(
    fail: str, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(["serve", "--fail", fail]) == code
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_interrupts_a_verb(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    before = signal.signal(number, usual)  # after nohup, or in the background, some are ignored
    try:
        assert command_line.main(["serve", "--signal", str(int(number))]) == 1
        assert capsys.readouterr().err == "Interrupted.\n"
        assert signal.getsignal(number) is usual
    finally:
        signal.signal(number, before)


def test_a_second_signal_changes_nothing_and_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """A shell that ends may send both."""
    both = [signal.SIGTERM, signal.SIGHUP]
    before = [signal.signal(each, signal.SIG_DFL) for each in both]
    try:
        assert command_line.main(["serve", "--signal", *(str(int(each)) for each in both)]) == 1
        assert capfd.readouterr().err == "Interrupted.\n"
    finally:
        for each, handler in zip(both, before, strict=True):
            signal.signal(each, handler)


def test_after_nohup_the_end_of_the_terminal_changes_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert command_line.main(["serve", "--signal", str(int(signal.SIGHUP))]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("url", ["localhost:80", "http://", "ftp://h", "http://h:port", "http://h:0", ""])
def test_what_is_no_address_of_a_server(url: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no address of a server"):
        arguments.http_url(url)


@pytest.mark.parametrize("url", ["http://h", "https://h:443/base", "http://[::1]:8080"])
def test_what_is_one(url: str) -> None:
    assert arguments.http_url(url) == url
    assert arguments.http_url(url + "/") == url


def test_a_verb_that_cannot_be_loaded_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["gone", "--json", "--port", "1"]) == 3
    assert "No module named 'x'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["serve", "--nonsense"], ["chat"]])
def test_bad_usage_is_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        command_line.main(arguments)
    assert left.value.code == 2


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        command_line.main(["--help"])
    assert left.value.code == 0
    shown = capsys.readouterr().out
    assert all(verb in shown for verb in ("demo", "chat", "serve", "made", "gone"))


def test_only_the_wanted_verb_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(Entry, "load", lambda self: loaded.append(self.name) or self.found)
    command_line.main(["serve"])
    assert loaded == ["serve"]


def test_what_fills_the_terminal_is_loaded_only_where_it_does() -> None:
    program = (
        "import sys; import roost.cli.chat; from roost.cli import command_line\n"
        "try: command_line.main(['chat', '--help'])\n"
        "finally: sys.stderr.write(str([each for each in sys.modules if each.startswith('textual')]))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert shown.stderr == "[]"
    assert "chat" in shown.stdout
