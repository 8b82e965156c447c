"""The chain of the audit log: whatever is done to it afterwards shows."""

import msgspec
import pytest

from storage.audit_chain import Act, AuditEntry, faults, following


def chain(length: int) -> list[AuditEntry]:
    entries: list[AuditEntry] = []
    for number in range(length):
        act = Act("operator:ann@box", "admin.grant", f"user{number} admin", "done")
        entries.append(following(entries[-1] if entries else None, act, 1_000 + number))
    return entries


def test_an_untouched_chain_holds() -> None:
    entries = chain(5)
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5]
    assert faults(entries) == faults([]) == []
    assert faults(entries, entries[2].head) == []


@pytest.mark.attack("audit-row-changed")
@pytest.mark.parametrize("field", ["at_ms", "actor", "act", "target", "outcome", "previous", "digest"])
def test_a_changed_row_is_found(field: str) -> None:
    entries = chain(4)
    value = 7 if field == "at_ms" else "x"
    entries[1] = msgspec.structs.replace(entries[1], **{field: value})
    assert any(sentence.startswith("Entry 2 ") for sentence in faults(entries))


@pytest.mark.attack("audit-row-changed-with-its-digest")
def test_a_changed_row_with_a_digest_that_fits_breaks_the_next() -> None:
    entries = chain(4)
    forged = Act("operator:ann@box", "status", "", "done")
    entries[1] = following(entries[0], forged, entries[1].at_ms)
    assert faults(entries) == ["Entry 3 does not follow the entry 2 that is there."]


@pytest.mark.attack("audit-row-removed")
def test_a_removed_row_is_found() -> None:
    entries = chain(4)
    assert faults(entries[:1] + entries[2:]) == ["Entry 2 is missing: entry 3 comes after 1."]
    assert faults(entries[1:]) == ["Entry 1 is missing: entry 2 comes after 0."]


@pytest.mark.attack("audit-row-inserted")
def test_an_inserted_row_is_found() -> None:
    entries = chain(4)
    extra = following(entries[1], Act("user:eve", "drain", "host-0", "done"), 5)
    assert faults([*entries[:2], extra, *entries[2:]])
    renumbered = [msgspec.structs.replace(each, number=each.number + 1) for each in entries[2:]]
    assert faults([*entries[:2], extra, *renumbered])


@pytest.mark.attack("audit-cut-or-rewritten")
def test_a_cut_or_rewritten_chain_does_not_have_the_noted_head() -> None:
    entries = chain(4)
    assert faults(entries[:2]) == [], "a chain alone cannot tell that its end is gone"
    assert faults(entries[:2], entries[3].head)
    rewritten = [following(None, Act("user:eve", "nothing", "", "done"), 1)]
    assert faults(rewritten) == []
    assert faults(rewritten, entries[0].head)


@pytest.mark.attack("audit-text-that-moves-the-terminal")
def test_what_is_kept_can_be_printed() -> None:
    entry = following(None, Act("user:eve", "drain", "a\n2  forged\x1b[2J\u202e" + "x" * 900, "refused"), 1)
    assert entry.target.isprintable()
    assert len(entry.target) == 500
