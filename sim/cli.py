"""``roost sim``: many virtual users, faults, and a ledger that proves every message."""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from roost.cli import terminal
from roost.cli.arguments import add_ca, http_url
from sim.echo import Plan, play
from sim.faults.profiles import PROFILES, ProfileUnknown
from sim.faults.schedule import TooShort
from sim.faults.system import CannotStrike
from sim.limits import BadLimits, Limits
from sim.onscreen import OnScreen
from sim.report.page import page
from sim.run.capacity import BadGoal, Goal
from sim.run.simulation import Options, Outcome, simulate
from sim.run.workers import WorkerFailed
from sim.scenarios import SCENARIOS, about


class Sim:
    """``roost sim``."""

    help = "many virtual users, faults, and a ledger that proves every message"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""
        add = parser.add_argument
        add(
            "--server",
            metavar="URL",
            type=http_url,
            help="a running Roost; without it, one is started for the run",
        )
        add_ca(parser)
        add("--data", metavar="DIR", type=Path, help="its data folder; lets faults find its processes")
        add("--users", type=_positive, default=200, metavar="N", help="virtual users (200)")
        add("--rate", type=float, default=50.0, metavar="R", help="messages a second (50)")
        add("--duration", type=float, default=60.0, metavar="S", help="seconds of traffic (60)")
        add("--seed", type=int, default=1, metavar="K", help="decides who does what when, and the faults (1)")
        add("--scenario", choices=sorted(SCENARIOS), default="steady", help="the story (steady)")
        add("--faults", default="", metavar="PROFILE", help="names with commas between, or mixed; see --list")
        add("--report", type=_file, metavar="FILE.html", help="write the report, one page")
        add("--json", type=_file, metavar="FILE", help="write the figures; - is standard output")
        add("--workers", type=_positive, default=1, metavar="N", help="processes for the users (1)")
        add("--ray", action="store_true", help="workers are tasks of the system's Ray cluster")
        add("--light", action="store_true", help="payloads without encryption, for pure load")
        add("--devices", type=_share, default=0.1, metavar="X", help="share of users with two devices (0.1)")
        add("--polls", type=_share, default=0.05, metavar="X", help="share that long-polls over HTTP (0.05)")
        add("--settle", type=float, default=60.0, metavar="S", help="wait so long for what is in flight (60)")
        add("--roles", type=_positive, metavar="N", help="hosts, routers and gateways of a started system")
        add(
            "--keep",
            metavar="LIMITS",
            help="what is swept, and when a mailbox is full: entry=30s,delivered=15s,device=25s,kept=80,"
            "waiting=30,erase=0s, any of them; a started system gets them, of another one they are believed",
        )
        add("--ledger", type=Path, metavar="DIR", help="keep the ledgers there")
        add(
            "--find-capacity",
            action="store_true",
            help="climb to --rate in steps; with --raise users, to --users",
        )
        add("--raise", dest="what", choices=("rate", "users"), default="rate", help="what rises (rate)")
        add("--slo", default="p99=250ms", metavar="GOAL", help="the latency goal (p99=250ms)")
        add("--echo", metavar="NAME", help="everyone writes to this bot, and each text must come back once")
        add("--list", action="store_true", help="show scenarios and faults, and end")

    def run(self, args: argparse.Namespace) -> int:
        """Play it, and return 0 if every promise held."""
        console = Console(stderr=True)
        if args.list:
            _show_lists(Console())
            return terminal.DONE
        if args.echo is not None:
            return _play_echo(args, console)
        if args.ledger is not None and any(args.ledger.glob("ledger-*.db")):
            console.print(f"{args.ledger} holds the ledger of another run: give a new folder.", style="red")
            return terminal.BAD_USAGE
        try:
            return self._play(args, console)
        except (ProfileUnknown, TooShort, CannotStrike, BadGoal, BadLimits) as exc:
            console.print(str(exc), style="red", markup=False)
            return terminal.BAD_USAGE
        except WorkerFailed as exc:
            console.print(str(exc), style="red", markup=False)
            return terminal.DID_NOT_HOLD

    def _play(self, args: argparse.Namespace, console: Console) -> int:
        options = _options(args)
        with OnScreen(console, options) as screen:
            outcome = asyncio.run(simulate(options, ["roost", *sys.argv[1:]], screen.show))
        return _conclude(outcome, args, console)


def _play_echo(args: argparse.Namespace, console: Console) -> int:
    if args.faults or args.find_capacity or args.report is not None:
        console.print("With --echo there are no faults, no capacity and no report.", style="red")
        return terminal.BAD_USAGE
    plan = Plan(args.echo, args.server, args.users, args.rate, args.duration, args.settle, args.seed, args.ca)
    found = asyncio.run(play(plan))
    if args.json is not None:
        figures = msgspec.to_builtins(found) | {"verdict": "holds" if found.holds else "violated"}
        text = json.dumps(figures, indent=1) + "\n"
        sys.stdout.write(text) if str(args.json) == "-" else args.json.write_text(text)
    console.print(
        f"{found.users} people wrote {found.sent} texts to {found.bot}: {found.echoed} came back, "
        f"{found.lost} lost, {found.duplicated} duplicated, {found.reordered} reordered, "
        f"{found.unknown} unknown; p50 {found.latency_ms['p50']} ms, p99 {found.latency_ms['p99']} ms "
        "there and back.",
        markup=False,
    )
    return terminal.DONE if found.holds else terminal.DID_NOT_HOLD


def _options(args: argparse.Namespace) -> Options:
    scenario = args.scenario
    if args.find_capacity:
        scenario = "staircase" if args.what == "rate" else "growing"
    if args.light and (args.keep is not None or scenario == "retention"):
        raise BadLimits("Phones of --light do not note what is swept: leave it out.")
    return Options(
        server=args.server,
        ca=args.ca,
        data=args.data,
        users=max(2, args.users),
        rate=args.rate,
        duration_s=args.duration,
        seed=args.seed,
        scenario=scenario,
        faults=args.faults,
        workers=args.workers,
        ray=args.ray,
        light=args.light,
        devices=args.devices,
        polls=args.polls,
        settle_s=args.settle,
        goal=Goal.parse(args.slo) if args.find_capacity else None,
        roles=args.roles,
        folder=args.ledger,
        limits=_limits(args, scenario),
    )


def _limits(args: argparse.Namespace, scenario: str) -> Limits:
    if args.keep is not None:
        return Limits.parse(args.keep)
    if scenario != "retention" or args.server is not None:
        return Limits()
    return Limits.small(args.duration)


def _conclude(outcome: Outcome, args: argparse.Namespace, console: Console) -> int:
    verdict = outcome.run.verdict
    if args.report is not None:
        args.report.write_text(page(verdict, outcome.info))
    if args.json is not None:
        text = json.dumps(outcome.figures | _capacity(outcome), indent=1) + "\n"
        sys.stdout.write(text) if str(args.json) == "-" else args.json.write_text(text)
    _show(outcome, console)
    if args.report is not None:
        console.print(f"The report: {args.report.absolute()}", markup=False)
    elif not verdict.holds:
        console.print("Next: the same command with --report FILE.html tells the stories with plots.")
    if not verdict.totals.sent:
        console.print("Nothing was sent: nothing is proven. Raise --rate or --duration.", style="red")
        return terminal.DID_NOT_HOLD
    if outcome.stopped_badly:
        console.print(outcome.stopped_badly, style="red", markup=False)
        return terminal.DID_NOT_HOLD
    return terminal.DONE if verdict.holds else terminal.DID_NOT_HOLD


def _capacity(outcome: Outcome) -> dict[str, object]:
    return {} if outcome.capacity is None else {"capacity": msgspec.to_builtins(outcome.capacity)}


def _show(outcome: Outcome, console: Console) -> None:
    found, verdict = outcome.figures, outcome.run.verdict
    for story in verdict.stories:
        console.print(f"{story.kind}: {story.title}", style="bold red", markup=False)
        for line in story.lines:
            console.print(f"  {line}", markup=False)
    took = found["latency_ms"]["send_deliver"]
    totals = verdict.totals
    rate = found["messages_per_s"] or 0
    console.print(
        f"{totals.sent:,} messages of {found['users']:,} users, {rate:,.0f} a second; "
        f"send to deliver p50 {took['p50']} ms, p99 {took['p99']} ms; {outcome.info.environment['harness']}.",
        markup=False,
    )
    for fault in found["faults"]:
        recovery = fault["recovery_s"]
        said = "not seen to end" if recovery is None else f"{recovery:g} s"
        console.print(f"{fault['name']} on {fault['target']}: recovery {said}", markup=False)
    for remark in outcome.info.remarks:
        console.print(remark, style="yellow", markup=False)
    if outcome.capacity is not None:
        console.print(outcome.capacity.sentence, style="bold", markup=False)
    broken = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in verdict.broken.items())
    console.print(
        f"{verdict.word}: {broken or 'nothing lost, doubled, reordered or invented'}; "
        f"{verdict.unverified} unverified.",
        style="bold green" if verdict.holds else "bold red",
        markup=False,
    )


def _show_lists(console: Console) -> None:
    for title, rows in (
        ("Scenarios", [(name, about(story)) for name, story in SCENARIOS.items()]),
        ("Faults", [(name, f"{profile.does} {profile.holds}") for name, profile in PROFILES.items()]),
    ):
        table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
        table.add_column("name", no_wrap=True)
        table.add_column("what")
        for row in rows:
            table.add_row(*row)
        console.print(table)


def _file(text: str) -> Path:
    """Return where to write, which is too late to find out after a long run."""
    path = Path(text)
    if text != "-" and (path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK)):
        raise argparse.ArgumentTypeError(f"{text} cannot be written: give a file in a folder that can be")
    return path


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value
