"""Plans: drawn from the seed alone, in the order of time, within the run."""

import pytest

from sim.checker import Story, Verdict
from sim.run.capacity import BadGoal, Goal, capacity
from sim.run.spec import Spec
from sim.scenarios import SCENARIOS, about
from sim.scenarios.growing import online_at
from sim.scenarios.staircase import GROWTH, STEPS
from sim.workload import CONTACTS, Leave, Return, Say, Stage, plan

USERS, RATE, DURATION = 50, 40.0, 20.0


def drawn(name: str, seed: int = 1, users: int = USERS) -> list[object]:
    return list(plan(SCENARIOS[name], Stage(users, RATE, DURATION, seed)))


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_plan_comes_from_its_seed_alone(name: str) -> None:
    assert drawn(name) == drawn(name)
    assert drawn(name) != drawn(name, seed=2)


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("users", [2, 3, USERS])
def test_acts_are_in_order_and_of_users_that_exist(name: str, users: int) -> None:
    acts = plan(SCENARIOS[name], Stage(users, RATE, DURATION, 3))
    assert [act.at_s for act in acts] == sorted(act.at_s for act in acts)
    assert all(0 <= act.at_s <= DURATION + 1 and 0 <= act.user < users for act in acts)
    says = [act for act in acts if isinstance(act, Say)]
    assert says
    assert all(0 <= act.to < users and act.to != act.user and act.size > 0 for act in says)
    assert about(SCENARIOS[name]).endswith((".", "?"))


def test_everyone_has_contacts_and_contacts_are_mutual() -> None:
    stage = Stage(200, RATE, DURATION, 4)
    stage.contact(0)
    for user, known in enumerate(stage._contacts):
        assert 1 < len(known) <= CONTACTS
        assert len(set(known)) == len(known)
        assert all(user in stage._contacts[other] for other in known)


def test_the_rate_is_about_what_was_asked_for() -> None:
    stage = Stage(USERS, 100.0, 100.0, 5)
    says = [act for act in plan(SCENARIOS["steady"], stage) if isinstance(act, Say)]
    assert 9_500 < len(says) < 10_500


def test_most_messages_go_to_few() -> None:
    stage = Stage(2_000, RATE, DURATION, 6)
    drawn_for_one = [stage.contact(7) for _ in range(10_000)]
    first, last = stage._contacts[7][0], stage._contacts[7][-1]
    assert drawn_for_one.count(first) > 4 * drawn_for_one.count(last) > 0


def test_roles_that_are_away_come_back() -> None:
    for name in ("morning", "long-offline", "office-day"):
        acts = plan(SCENARIOS[name], Stage(USERS, RATE, DURATION, 7))
        gone = {act.user for act in acts if isinstance(act, Leave)}
        assert gone
        assert gone <= {act.user for act in acts if isinstance(act, Return)}


# --- capacity -------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "p99", "p99=", "p98=250ms", "p99=-1ms", "p99=0", "p99=1.2.3", "250ms"])
def test_an_unreadable_goal_is_answered_with_the_format(text: str) -> None:
    with pytest.raises(BadGoal, match="p99=250ms"):
        Goal.parse(text)


def test_a_goal_is_read() -> None:
    assert Goal.parse("p95=12.5ms") == Goal("p95", 12.5)
    assert str(Goal.parse("p99=250")) == "p99=250ms"


def climbed(*took_ms: float, scenario: str = "staircase") -> tuple[Spec, Verdict]:
    spec = Spec("", "", "", "", users=100, rate=1_000, duration_s=120, seed=1, scenario=scenario)
    verdict = Verdict()
    for step, took in enumerate(took_ms):
        for number in range(100):
            verdict.send_deliver.add(round((step * 10 + number / 20) * 1e6), round(took * 1000))
    return spec, verdict


def test_the_last_step_within_the_goal_is_the_answer() -> None:
    answer = capacity(*climbed(10, 20, 40, 900, 30), 0, Goal("p99", 250))
    assert (answer.reached, answer.first, len(answer.steps)) == (3, "latency", 5)
    assert answer.steps[2].planned_per_s == round(1_000 * GROWTH ** (2 - STEPS + 1), 1)
    assert answer.sentence.startswith("100 users at 10 messages/s: p99 40 ms with 0 violations.")
    assert "The latency goal broke first" in answer.sentence


def test_the_end_of_the_staircase_is_reported() -> None:
    answer = capacity(*climbed(*[5] * STEPS, scenario="growing"), 0, Goal("p99", 250))
    assert (answer.reached, answer.first) == (STEPS, "end")
    assert [step.users for step in answer.steps] == [online_at(step, 100) for step in range(STEPS)]
    assert "raise --rate or --users" in answer.sentence


def test_a_first_step_beyond_the_goal_is_reported() -> None:
    answer = capacity(*climbed(300, 5), 0, Goal("p99", 250))
    assert (answer.reached, answer.first) == (0, "latency")
    assert answer.sentence == "Not even the first step held p99=250ms: lower --rate or --users."


def test_a_broken_promise_ends_the_staircase() -> None:
    spec, verdict = climbed(10, 20, 40, 900)
    verdict.counts["lost"] = 1
    verdict.stories = [Story("unverified", 0, "", []), Story("lost", 12_000_000, "", [])]
    answer = capacity(spec, verdict, 0, Goal("p99", 250))
    assert (answer.reached, answer.first) == (1, "ledger")
    assert "The ledger broke first" in answer.sentence
