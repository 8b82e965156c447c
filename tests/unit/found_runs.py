"""Runs that once broke a rule, as lists of steps: what a seed means changes, these stay."""

from typing import Any

from sim.deterministic.steps import Step
from sim.deterministic.world import Plan


def _steps(text: str) -> list[Step]:
    return [tuple(map(_part, line.split())) for line in text.strip().splitlines()]


def _part(word: str) -> Any:
    if "/" in word:
        return tuple(word.split("/"))
    return int(word) if word.isdigit() else {"True": True, "False": False}.get(word, word)


FOUND: dict[str, tuple[Plan, list[Step]]] = {
    "a record that waited while its log started over was finished in the new log": (
        Plan(1, (1, 1, 1)),
        _steps("""
            turn r0 6
            turn r0 1
            net r0>h0 2
            connect ANN0000000 g1 stream
            up ANN0000000 0 done
            net g1>h0 1
            task h0 4 done
            task h0 5 done
            task h0 0 done
            task h0 6 done
            task h0 2 done
            task h0 4 done
            net h0>g1 2
            say ANN0000000 bob
            down ANN0000000 6
            flush ANN0000000
            up ANN0000000 0 done
            turn r0 1
            lose 0
        """),
    ),
    "a passivated actor came back with the devices of before": (
        Plan(2, (2, 1, 2, 2)),
        _steps("""
            turn r0 1
            connect BOB0000000 g0 poll
            turn r0 6
            net r0>h0 6
            up BOB0000000 0 done
            net g0>h0 2
            task h0 5 done
            device ann g1
            task h0 2 lost
            task h0 0 done
            task h0 4 lost
            task h0 3 done
            task h0 0 done
            task h0 1 done
            task h0 6 done
            task h0 0 done
            task h0 0 done
            passivate h0/bob
            task h0 3 done
            device bob g0
            refresh g0
            refresh g1
            net g1>h0 1
            task h0 4 done
        """),
    ),
    "an answer that went down with the log hid what was sent again": (
        Plan(1, (1, 2, 1)),
        _steps("""
            turn r0 1
            turn r0 1
            net r0>h0 1
            say ANN0000000 cat
            lose 0
            connect CAT0000000 g0 stream
            up CAT0000000 0 done
            net g0>h0 6
            task h0 7 done
            task h0 5 done
            say CAT0000000 bob
            gateway g0
            task h0 5 done
            connect CAT0000000 g1 stream
            connect ANN0000000 g1 stream
            task h0 4 done
            task h0 5 done
            up CAT0000000 0 done
            up ANN0000000 0 done
            net g1>h0 6
            task h0 2 done
            task h0 3 done
            tick 70000
            task h0 3 done
            task h0 6 done
            drop ANN0000000
            task h0 3 done
            task h0 0 done
            connect ANN0000000 g0 stream
            up ANN0000000 0 done
            net h0>g1 1
            net g0>h0 6
            task h0 6 done
            net h0>g0 1
            down CAT0000000 2
            down ANN0000000 2
            say ANN0000000 bob
            flush ANN0000000
            flush CAT0000000
            remake 0
            up ANN0000000 0 done
            map r0
            up CAT0000000 0 done
            turn r0 6
            lose 0
            turn r0 1
        """),
    ),
    "a message counted as stored because the base rose between two looks": (
        Plan(2, (2, 2, 1, 1, 2)),
        _steps("""
            connect EVE0000001 g0 stream
            say EVE0000000 cat
            say EVE0000001 cat
            turn r0 6
            up EVE0000001 0 done
            turn r0 1
            net r0>h0 2
            net g0>h0 2
            task h0 5 done
            task h0 7 done
            task h0 7 done
            task h0 4 done
            task h0 7 done
            task h0 2 done
            task h0 4 done
            net h0>g0 1
            down EVE0000001 1
            flush EVE0000001
            up EVE0000001 0 done
            down EVE0000001 1
            tick 70000
            check EVE0000001 g0 done
            lose 1
        """),
    ),
    "a host let go of a shard, and its router, which missed that map, never learned it": (
        Plan(1, (1, 1, 1, 1)),
        _steps("""
            move 0
            map r0
            map h1
            turn r0 2
            move 0
            turn r0 6
            net r0>h1 1
            map h1
            move 0
        """),
    ),
    "a gateway answered what was sent again with the number that was lost": (
        Plan(1, (1, 1, 1, 1)),
        _steps("""
            connect BOB0000000 g0 stream
            turn r0 1
            turn r0 2
            net r0>h0 6
            say BOB0000000 cat
            up BOB0000000 0 refused
            net g0>h0 1
            task h0 4 done
            task h0 0 done
            task h0 4 done
            task h0 0 done
            task h0 1 done
            task h0 0 done
            task h0 0 done
            net h0>g0 6
            down BOB0000000 1
            flush BOB0000000
            up BOB0000000 0 done
            lose 0
        """),
    ),
    "entries of an attachment that was given up came before ready": (
        Plan(1, (2, 1, 2, 2)),
        _steps("""
            connect ANN0000001 g0 stream
            say CAT0000001 bob
            up ANN0000001 0 done
            turn r0 1
            say ANN0000001 bob
            connect BOB0000000 g1 stream
            connect DAN0000000 g1 stream
            up DAN0000000 0 done
            net g1>h0 2
            up BOB0000000 0 done
            turn r0 1
            net r0>h0 2
            net g1>h0 1
            task h0 2 done
            task h0 0 done
            task h0 4 done
            task h0 3 done
            task h0 0 done
            net g0>h0 2
            task h0 7 done
            task h0 2 done
            task h0 1 done
            task h0 2 done
            net h0>g1 2
            task h0 2 done
            task h0 4 done
            task h0 0 done
            net h0>g0 1
            down ANN0000001 1
            flush ANN0000001
            up ANN0000001 0 done
        """),
    ),
    "a host let go of a shard, and a gateway that missed that map kept its streams there": (
        Plan(1, (1, 2, 1, 1)),
        _steps("""
            connect DAN0000000 g1 stream
            move 0
            up DAN0000000 0 done
            turn r0 2
            turn r0 6
            net r0>h0 1
            move 0
            move 0
            net g1>h0 2
            map h0
            move 0
        """),
    ),
    "a router linked to a host's next life before the old link's end came opened no shard there": (
        Plan(1, (2, 2, 2, 1)),
        _steps("""
            turn r0 1
            turn r0 1
            crash h0 1
        """),
    ),
    "a log was lost twice, and what was not stored of the first one counted as stored": (
        Plan(1, (1, 1)),
        _steps("""
            connect ANN0000000 g0 stream
            up ANN0000000 0 done
            turn r0 1
            turn r0 1
            net r0>h0 1
            say ANN0000000 bob
            net g0>h0 1
            task h0 7 done
            task h0 3 done
            task h0 1 done
            task h0 3 done
            task h0 6 done
            task h0 0 done
            net h0>g0 6
            down ANN0000000 1
            say ANN0000000 bob
            reroute 0
            reroute 0
            flush ANN0000000
            up ANN0000000 0 done
            turn r0 6
            lose 0
            remake 0
            map r0
            turn r0 1
            turn r0 2
            lose 0
        """),
    ),
    "a stream ended after a host's no that was older than its yes, and was served forever": (
        Plan(1, (2, 2, 1, 1, 1)),
        _steps("""
            turn r0 1
            connect ANN0000001 g1 stream
            up ANN0000001 0 done
            net g1>h0 2
            connect BOB0000001 g1 stream
            kill BOB0000001
            connect BOB0000001 g1 poll
            up BOB0000001 1 done
        """),
    ),
    "a host let go of a shard, and told only the router that had opened it last": (
        Plan(1, (1, 1)),
        _steps("""
            move 0
            map r0
            move 0
            move 0
            map h1
            turn r0 6
            turn r0 6
            move 0
            move 0
            net r0>h1 1
            reroute 0
            map r1
            turn r1 2
            move 0
            reroute 0
            turn r1 2
            move 0
            net r1>h1 1
            move 0
            reroute 0
            map h1
            move 0
            reroute 0
        """),
    ),
    "a block on its way to the store was not known to an actor that was loaded meanwhile": (
        Plan(1, (1, 1, 1, 1)),
        _steps("""
            turn r0 6
            turn r0 1
            net r0>h0 1
            block bob cat True g0
            net g0>h0 1
            task h0 6 done
            task h0 0 done
            task h0 3 done
            block bob ann True g0
            task h0 1 done
            task h0 0 done
            task h0 4 done
            passivate h0/bob
            net g0>h0 1
            task h0 3 done
            task h0 6 done
            task h0 3 done
            task h0 3 done
            task h0 2 done
        """),
    ),
    "a floor raised for a device was forgotten with the actor": (
        Plan(2, (1, 1, 2, 2)),
        _steps("""
            turn r1 2
            say DAN0000001 bob
            turn r1 2
            turn r0 1
            connect DAN0000000 g0 stream
            up DAN0000000 0 done
            net r1>h1 6
            block ann bob True g0
            drop DAN0000000
            up DAN0000000 0 lost
            net g0>h1 1
            task h1 7 done
            task h1 6 done
            task h1 3 done
            net g0>h1 1
            task h1 6 done
            connect DAN0000001 g0 stream
            net g0>h1 1
            task h1 0 done
            connect BOB0000000 g1 poll
            turn r0 2
            up DAN0000001 0 done
            net g0>h1 1
            task h1 7 done
            task h1 0 done
            move 0
            task h1 1 done
            task h1 2 done
            net r0>h0 1
            net h1>g0 2
            say DAN0000001 bob
            task h1 1 done
            up BOB0000000 0 done
            net g1>h0 1
            task h0 0 done
            task h1 2 done
            task h0 5 done
            task h0 1 done
            down DAN0000001 1
            flush DAN0000001
            up DAN0000001 0 done
            task h0 1 done
            task h1 4 done
            task h0 2 done
            turn r0 6
            kill BOB0000000
            write h1 rest
            net r0>h0 1
            task h0 3 done
            device bob g0
            write h0 documents
            task h0 6 done
            task h1 7 done
            write h0 rows
            task h0 5 done
            map h0
            net h0>r0 6
            connect BOB0000000 g0 stream
            drop BOB0000000
        """),
    ),
    "what was stored before an actor knew a device was claimed by the device": (
        Plan(2, (1, 2)),
        _steps("""
            turn r1 2
            connect BOB0000000 g1 stream
            turn r0 6
            turn r0 1
            up BOB0000000 0 refused
            turn r1 6
            net r1>h1 2
            net r0>h0 2
            move 1
            device bob g1
            net g1>h0 6
            say BOB0000001 ann
            connect ANN0000000 g1 poll
            task h0 7 done
            say BOB0000002 ann
            connect BOB0000002 g0 stream
            up ANN0000000 0 done
            task h0 3 done
            task h0 7 done
            up BOB0000002 0 done
            net g0>h0 1
            net g1>h1 1
            task h0 1 done
            task h0 5 done
            task h1 0 done
            task h1 5 done
            task h0 7 done
            task h1 7 done
            task h1 5 done
            task h1 4 done
            net h0>g0 1
            task h1 6 done
            down BOB0000002 2
            flush BOB0000002
            up BOB0000002 0 done
            device ann g0
            gateway g1
            turn r1 1
            net r1>h1 1
            write h1 rows
            connect ANN0000000 g1 stream
            write h1 documents
            task h1 6 done
            up ANN0000000 0 done
            task h1 0 done
            net h1>r1 6
            map r1
            turn r1 1
            gateway g1
            connect ANN0000000 g0 stream
            up ANN0000000 0 done
        """),
    ),
    "the records of a log that was recreated were handed on under the base of the one before": (
        Plan(1, (1, 2)),
        _steps("""
            turn r0 2
            turn r0 1
            net r0>h0 1
            connect BOB0000000 g0 poll
            up BOB0000000 0 done
            say BOB0000000 ann
            net g0>h0 1
            task h0 1 done
            say BOB0000000 ann
            task h0 4 done
            task h0 2 done
            task h0 3 done
            task h0 5 done
            gateway g0
            task h0 2 done
            connect BOB0000000 g0 stream
            up BOB0000000 0 done
            connect ANN0000000 g1 stream
            up ANN0000000 0 done
            net g1>h0 2
            net g0>h0 2
            net h0>g0 6
            task h0 5 done
            down BOB0000000 1
            task h0 1 done
            lose 0
            task h0 1 done
            flush BOB0000000
            task h0 4 done
            up BOB0000000 0 done
            tick 20000
            up BOB0000000 0 done
            tick 20000
            flush BOB0000000
            up BOB0000000 0 done
            remake 0
            map r0
            turn r0 2
            up BOB0000000 0 done
            lose 0
            down BOB0000000 6
            remake 0
            tick 20000
            flush BOB0000000
            up BOB0000000 0 done
            turn r0 1
        """),
    ),
    "a repeat counted as stored before what it repeats was": (
        Plan(1, (2, 1)),
        _steps("""
            turn r0 2
            turn r0 6
            net r0>h0 1
            connect ANN0000000 g0 stream
            up ANN0000000 0 done
            gateway g0
            say ANN0000000 bob
            net g0>h0~1 2
            connect BOB0000000 g0 stream
            task h0 6 done
            task h0 0 done
            task h0 1 done
            up BOB0000000 0 done
            net g0>h0 6
            task h0 5 done
            task h0 6 done
            task h0 4 done
            say ANN0000001 bob
            task h0 6 done
            connect ANN0000001 g0 stream
            task h0 2 done
            task h0 7 done
            task h0 6 done
            task h0 2 done
            task h0 6 done
            up ANN0000001 0 done
            net g0>h0 1
            net h0>g0 6
            down ANN0000001 6
            lose 0
            remake 0
            flush ANN0000001
            up ANN0000001 0 done
            turn r0 1
            map r0
            turn r0 1
            net r0>h0 2
            turn r0 1
            net r0>h0 2
            write h0 rows
            task h0 5 done
            net h0>r0 6
            crash h0 0
        """),
    ),
    "the records of a new log were handed to one host under the old base and to another under the new": (
        Plan(2, (2, 1)),
        _steps("""
            turn r1 6
            turn r1 1
            turn r0 1
            turn r0 1
            connect ANN0000001 g1 poll
            up ANN0000001 0 done
            net r1>h1 1
            net g1>h1 2
            task h1 2 done
            connect BOB0000000 g0 stream
            task h1 1 done
            task h1 1 done
            up BOB0000000 0 done
            task h1 1 done
            net r0>h0 1
            task h1 2 done
            say ANN0000000 bob
            net g0>h0 1
            connect ANN0000000 g0 stream
            up ANN0000000 0 done
            task h0 5 done
            task h0 4 done
            task h0 3 done
            task h0 4 done
            task h0 2 done
            task h0 0 done
            task h1 1 done
            net g0>h1 6
            lose 0
            remake 0
            net h1>g0 2
            down ANN0000000 2
            flush ANN0000000
            up ANN0000000 0 done
            move 0
            turn r0 6
            map r0
            map h1
            net r0>h0 6
            turn r0 1
            turn r0 2
            net r0>h1 6
            task h1 0 done
            task h1 2 done
            task h1 7 done
            task h1 1 done
            task h1 6 done
            task h1 0 done
        """),
    ),
    "a message was told as delivered because another one had its number": (
        Plan(1, (1, 1, 2, 1)),
        _steps("""
            connect CAT0000000 g1 stream
            turn r0 1
            up CAT0000000 0 done
            say CAT0000001 ann
            turn r0 2
            say BOB0000000 cat
            net r0>h0 1
            net g1>h0 6
            say BOB0000000 ann
            task h0 7 done
            task h0 7 done
            task h0 6 done
            task h0 3 done
            task h0 2 done
            task h0 6 done
            connect BOB0000000 g0 stream
            up BOB0000000 0 done
            say CAT0000000 ann
            net h0>g1 6
            net g0>h0 6
            task h0 0 done
            task h0 0 done
            task h0 7 done
            task h0 3 done
            task h0 2 done
            task h0 6 done
            net h0>g0 2
            down BOB0000000 2
            down CAT0000000 1
            flush CAT0000000
            flush BOB0000000
            up CAT0000000 0 done
            lose 0
            up BOB0000000 0 done
            remake 0
            up BOB0000000 0 done
            turn r0 6
        """),
    ),
    "a shard that was elsewhere before its host heard of it went on with what was in memory": (
        Plan(1, (1, 1, 1, 1)),
        _steps("""
            net g0>h0 2
            turn r0 1
            turn r0 1
            net r0>h0 6
            connect CAT0000000 g0 stream
            up CAT0000000 0 done
            net g0>h0 1
            task h0 1 refused
            move 0
            task h0 3 refused
            map h1
            task h0 0 done
            connect DAN0000000 g0 stream
            map r0
            turn r0 1
            task h0 6 done
            up DAN0000000 0 done
            task h0 1 done
            turn r0 1
            net r0>h1 1
            task h0 0 done
            net g0>h0 1
            task h0 3 done
            task h0 2 done
            task h0 1 done
            task h0 2 done
            move 0
            say DAN0000000 cat
            map r0
            net h0>g0 6
            task h0 0 done
            task h0 0 done
            task h0 6 done
            task h0 4 done
            net h0>g0 1
            down DAN0000000 1
            flush DAN0000000
            turn r0 6
            up DAN0000000 0 done
            turn r0 1
            net r0>h0 6
            net g1>h0 6
            drop CAT0000000
            connect CAT0000000 g1 poll
            up CAT0000000 0 done
            net g1>h0 1
            move 0
        """),
    ),
    "a receipt went down with its log, and was never sent again": (
        Plan(1, (1, 2, 1, 2)),
        _steps("""
            turn r0 6
            turn r0 1
            net r0>h0 1
            connect BOB0000001 g0 stream
            up BOB0000001 0 done
            kill BOB0000001
            up BOB0000001 0 done
            net g0>h0 2
            task h0 5 done
            net g0>h0 1
            task h0 2 done
            task h0 1 done
            task h0 0 done
            task h0 4 done
            task h0 5 done
            say CAT0000000 bob
            connect CAT0000000 g0 stream
            up CAT0000000 0 done
            net g0>h0 1
            task h0 6 done
            task h0 4 done
            task h0 2 done
            task h0 3 done
            task h0 3 done
            task h0 0 done
            net h0>g0 1
            down CAT0000000 1
            flush CAT0000000
            up CAT0000000 0 done
            turn r0 1
            net r0>h0 6
            connect BOB0000001 g0 stream
            up BOB0000001 0 done
            net g0>h0 2
            net h0>g0 6
            down BOB0000001 2
            take BOB0000001 6
            flush BOB0000001
            up BOB0000001 0 done
            net g0>h0 1
            write h0 receipts
            task h0 0 done
            lose 0
        """),
    ),
    "a client kept the number that went down with the log, and took a watermark above it for its message's": (
        Plan(1, (2, 1, 2, 2, 1)),
        _steps("""
            turn r0 1
            say ANN0000001 bob
            turn r0 2
            net r0>h0 1
            connect ANN0000001 g1 stream
            connect ANN0000000 g0 stream
            up ANN0000001 0 done
            up ANN0000000 0 done
            net g1>h0 2
            task h0 0 done
            task h0 1 done
            task h0 2 done
            task h0 5 done
            task h0 2 done
            task h0 4 done
            net h0>g1 2
            down ANN0000001 1
            net g0>h0 2
            connect CAT0000001 g0 stream
            say CAT0000000 bob
            up CAT0000001 0 done
            net g0>h0 1
            connect BOB0000000 g1 poll
            task h0 4 done
            task h0 7 done
            task h0 7 done
            task h0 5 done
            task h0 4 done
            task h0 3 done
            up BOB0000000 0 done
            net g1>h0 1
            task h0 7 done
            task h0 4 done
            flush ANN0000001
            up ANN0000001 0 done
            task h0 2 done
            net h0>g0 6
            tick 20000
            task h0 6 done
            lose 0
            say ANN0000001 bob
            block cat dan False g0
            task h0 5 done
            task h0 7 done
            say ANN0000000 bob
        """),
    ),
    "actors that waited for the log before held up those whose records it waited for": (
        Plan(1, (2, 2, 1, 2, 1)),
        _steps("""
            reroute 0
            net g1>h0 2
            map r1
            turn r1 6
            turn r1 6
            net r1>h0 1
            connect BOB0000001 g1 stream
            up BOB0000001 0 done
            net g1>h0 1
            say BOB0000001 eve
            reroute 0
            say BOB0000001 ann
            task h0 0 done
            task h0 1 done
            task h0 2 done
            task h0 6 done
            task h0 6 done
            task h0 1 done
            net h0>g1 1
            down BOB0000001 2
            turn r0 1
            reroute 0
            reroute 0
            flush BOB0000001
            up BOB0000001 0 done
            turn r0 6
            lose 0
            remake 0
            up BOB0000001 0 done
            map r0
            turn r0 1
            net r0>h0 1
        """),
    ),
    "the sender did not ask about what was accepted before a message that has another number now": (
        Plan(1, (1, 2, 2, 1, 1)),
        _steps("""
            turn r0 6
            connect BOB0000000 g0 stream
            up BOB0000000 0 done
            net g0>h0 1
            turn r0 1
            net r0>h0 2
            net g0>h0 1
            task h0 3 done
            task h0 2 done
            task h0 1 done
            task h0 6 done
            task h0 3 done
            task h0 2 done
            net h0>g0 1
            say BOB0000000 ann
            down BOB0000000 1
            flush BOB0000000
            up BOB0000000 0 done
            up BOB0000000 0 done
            down BOB0000000 1
            say BOB0000000 ann
            flush BOB0000000
            up BOB0000000 0 done
            lose 0
            move 0
            tick 20000
            block ann bob True g0
        """),
    ),
    "a message was stored by a host that did not have the block yet, and goes to no device": (
        Plan(2, (2, 1, 1, 1)),
        _steps("""
            turn r0 2
            net g1>h0 6
            net g0>h1 2
            connect CAT0000000 g0 stream
            net g0>h0 1
            turn r0 1
            net r0>h0 2
            up CAT0000000 0 done
            connect ANN0000001 g0 stream
            up ANN0000001 0 done
            say CAT0000000 bob
            turn r1 1
            connect BOB0000000 g1 stream
            turn r1 1
            net r1>h1 6
            up BOB0000000 0 done
            net g1>h0 1
            task h0 4 done
            task h0 2 done
            task h0 2 done
            task h0 5 done
            block bob ann True g0
            net g0>h0 1
            task h0 6 done
            net g0>h1 1
            task h0 6 done
            net g0>h1 6
            task h1 0 done
            task h1 5 done
            task h1 7 done
            task h1 2 done
            task h1 6 done
            task h1 7 done
            task h1 4 done
            task h1 0 done
            task h1 6 done
            net h1>g0 2
            task h1 0 done
            task h1 2 done
            task h1 0 done
            net h1>g0 2
            down CAT0000000 1
            move 0
            flush CAT0000000
            map r0
            up CAT0000000 0 done
            map h1
            say ANN0000001 bob
            turn r0 2
            down ANN0000001 2
            move 0
            flush ANN0000001
            turn r0 1
            net r0>h1 1
            net r0>h1 1
            task h1 4 done
            task h1 6 done
            task h1 4 done
            up ANN0000001 0 done
            task h1 0 done
            task h1 7 done
            task h1 4 done
            turn r0 2
            net r0>h1 6
        """),
    ),
    "what was stored of the log before counted for the log that a router had opened since": (
        Plan(shards=2, devices=(2, 1, 1)),
        _steps("""
            connect ANN0000001 g0 stream
            up ANN0000001 0 done
            say ANN0000001 cat
            connect CAT0000000 g1 stream
            up CAT0000000 0 done
            turn r1 6
            turn r1 2
            net r1>h1 1
            net g0>h1 2
            task h1 2 done
            task h1 2 done
            task h1 3 done
            task h1 3 done
            task h1 4 done
            task h1 5 done
            net h1>g0 2
            down ANN0000001 1
            flush ANN0000001
            up ANN0000001 0 done
            turn r1 1
            lose 1
            net g1>h1 2
            task h1 2 done
            task h1 5 done
            remake 1
            task h1 4 done
            task h1 7 done
            task h1 3 done
            task h1 4 done
            map r1
            turn r1 1
            net r1>h1 1
            write h1 rows
            write h1 documents
            lose 1
            remake 1
            turn r1 1
            map r1
            task h1 0 done
            task h1 5 done
            turn r1 6
        """),
    ),
    "what an app took only after a reconnect was not acknowledged before the next entry came": (
        Plan(shards=1, devices=(1, 1, 1, 1)),
        _steps("""
            turn r0 2
            net g0>h0 1
            turn r0 2
            net r0>h0 1
            connect CAT0000000 g0 stream
            up CAT0000000 0 done
            net g0>h0 1
            task h0 3 done
            task h0 1 done
            task h0 3 done
            task h0 7 done
            task h0 7 done
            connect ANN0000000 g0 poll
            task h0 3 done
            up ANN0000000 0 done
            say CAT0000000 ann
            net g0>h0 1
            task h0 6 done
            task h0 1 done
            net h0>g0 6
            task h0 6 done
            down CAT0000000 2
            flush CAT0000000
            task h0 6 done
            task h0 6 done
            task h0 0 done
            net h0>g0 1
            up CAT0000000 0 lost
            net g0>h0 6
            turn r0 1
            net r0>h0 2
            net h0>g0 1
            net g0>h0 1
            down ANN0000000 6
            tick 70000
            down ANN0000000 2
            connect ANN0000000 g0 stream
            up ANN0000000 0 done
        """),
    ),
    "a host stored what it had of a lost log when the next host had loaded the user under the new base": (
        Plan(shards=2, devices=(2, 1)),
        _steps("""
            net g1>h1 1
            turn r0 1
            say ANN0000001 bob
            turn r1 2
            turn r0 6
            net r0>h0 1
            turn r1 2
            connect ANN0000001 g1 stream
            net r1>h1 1
            up ANN0000001 0 done
            net g1>h1 1
            task h1 0 done
            task h1 5 done
            net g1>h0 1
            connect BOB0000000 g1 stream
            up BOB0000000 0 done
            task h1 7 done
            net g1>h0 1
            task h0 0 done
            task h1 3 done
            task h1 5 done
            task h1 7 done
            net h1>g1 6
            task h0 7 done
            task h0 2 done
            task h0 6 done
            task h0 1 done
            task h0 1 done
            move 0
            down ANN0000001 6
            map h1
            flush ANN0000001
            up ANN0000001 0 done
            turn r0 1
            net r0>h0 6
            map r0
            turn r0 1
            turn r0 1
            net r0>h1 1
            net r0>h1 1
            move 0
            lose 0
            move 0
            remake 0
            map r0
            map h1
            map g1
            turn r0 1
            turn r0 1
            net r0>h1 6
            net r0>h1 6
            net h1>g1 6
            place g1
            place g1
            net h0>g1 6
            net g1>h1 6
            net g1>h1 6
            task h1 0 done
            task h1 0 done
            task h1 0 done
            task h1 0 done
            task h1 0 done
            task h1 0 done
            task h1 0 done
            task h1 0 done
            task h1 0 done
            task h1 0 done
            task h1 0 done
            task h1 0 done
            task h1 0 done
            task h1 0 done
            task h1 0 done
            task h1 0 done
            task h1 0 done
            task h1 0 done
            task h1 0 done
        """),
    ),
    "a cursor was an entry that only a host without the shard knew of, from someone blocked since": (
        Plan(1, (1, 2)),
        _steps("""
            connect ANN0000000 g1 poll
            net g1>h0 1
            up ANN0000000 0 done
            turn r0 1
            net g1>h0 1
            connect BOB0000000 g0 stream
            turn r0 1
            net r0>h0 2
            up BOB0000000 0 done
            net h0>g1 2
            net g0>h0 6
            say BOB0000000 ann
            move 0
            map g1
            map r0
            task h0 1 done
            task h0 2 done
            task h0 7 done
            task h0 2 done
            connect BOB0000001 g0 stream
            task h0 5 done
            turn r0 1
            up BOB0000001 0 done
            turn r0 1
            map h1
            net r0>h1 1
            net g0>h0 6
            task h0 6 done
            say BOB0000001 ann
            net h0>g0 2
            move 0
            net h0>g0 1
            down BOB0000001 6
            flush BOB0000001
            up BOB0000001 0 done
            block ann bob True g0
            turn r0 1
            net r0>h1 1
            task h1 4 done
            net g0>h0 1
            task h1 2 done
            task h0 3 done
            task h1 2 done
            task h0 0 done
            place g1
            down BOB0000000 1
            task h0 5 done
            task h1 1 done
            net g1>h1 2
            router r0
            task h0 4 done
            task h1 1 done
            task h0 0 done
            turn r0 2
            flush BOB0000000
            up BOB0000000 0 lost
            task h0 7 done
            task h1 6 done
        """),
    ),
    "a host that had lost the shard answered that a block holds": (
        Plan(2, (2, 1, 1, 1, 1)),
        _steps("""
            connect EVE0000000 g0 stream
            up EVE0000000 0 lost
            net g0>h0 6
            reroute 0
            move 0
            map g0
            map g1
            map h1
            router r1
            net g1>h1 6
            turn r1 1
            turn r1 1
            net r1>h1 1
            move 0
            net g0>h0 2
            block eve dan True g1
            map g0
            map r1
            turn r1 6
            net g1>h1 1
            turn r1 1
            net r1>h0 2
            net g0>h0 2
            task h1 0 done
            task h1 1 done
            task h1 5 done
            task h1 5 done
            task h1 3 done
            task h1 4 done
            task h0 0 done
            task h0 0 done
            task h0 0 done
            task h0 0 done
            write h1 rest
            task h0 2 done
            task h1 6 done
        """),
    ),
    "a router that missed two maps waited for what was stored while another had read its shard": (
        Plan(shards=2, devices=(1, 1, 2, 1)),
        _steps("""
            turn r1 2
            reroute 0
            turn r1 6
            say DAN0000000 bob
            reroute 0
            reroute 0
            reroute 0
            net g1>h1 2
            reroute 0
            net r1>h1 1
            connect DAN0000000 g1 stream
            up DAN0000000 0 done
            net g1>h1 1
            task h1 7 done
            turn r0 6
            task h1 2 done
            task h1 0 done
            task h1 3 done
            task h1 0 done
            map r1
            task h1 0 done
            net h1>g1 1
            down DAN0000000 1
            flush DAN0000000
            turn r1 1
            up DAN0000000 0 done
            turn r1 1
            net r1>h0 6
            reroute 0
            reroute 0
            turn r0 1
        """),
    ),
    "a device's cursor was refused by the host that its shard had just come to, which had less yet": (
        Plan(shards=2, devices=(1, 2)),
        _steps("""
            turn r0 2
            reroute 0
            turn r1 6
            turn r0 1
            net r0>h0 2
            move 0
            turn r1 6
            say ANN0000000 bob
            net r1>h1 2
            connect ANN0000000 g1 poll
            up ANN0000000 0 done
            net g1>h1 6
            task h1 3 done
            task h1 2 done
            task h1 3 done
            task h1 5 done
            task h1 3 done
            task h1 4 done
            net h1>g1 1
            map h1
            router r1
            turn r1 6
            down ANN0000000 6
            flush ANN0000000
            up ANN0000000 0 done
            turn r1 2
            net r1>h1 1
            turn r0 1
            net r0>h0 1
            task h0 2 done
            connect BOB0000001 g0 poll
            task h0 3 done
            up BOB0000001 0 done
            task h0 7 done
            router r1
            task h0 1 done
            task h0 6 done
            task h0 3 done
            net g0>h0 2
        """),
    ),
    "a device added while a message came was not woken, as its user's other device let it be evicted": (
        Plan(shards=1, devices=(1, 1, 1)),
        _steps("""
            connect CAT0000000 g0 stream
            up CAT0000000 0 done
            turn r0 2
            connect BOB0000000 g0 stream
            turn r0 1
            up BOB0000000 0 done
            net r0>h0 6
            say CAT0000000 bob
            net g0>h0 6
            task h0 6 done
            task h0 5 done
            task h0 2 done
            task h0 3 done
            task h0 3 done
            device bob g0
            task h0 1 done
            task h0 5 done
            net h0>g0 6
            down CAT0000000 2
            flush CAT0000000
            up CAT0000000 0 done
        """),
    ),
    "a device that signed in while a message came was not woken, as a sync of another let it be evicted": (
        Plan(shards=1, devices=(1, 1, 1, 1, 1)),
        _steps("""
            say ANN0000000 bob
            turn r0 1
            turn r0 1
            net r0>h0 2
            connect BOB0000000 g0 poll
            up BOB0000000 0 done
            connect ANN0000000 g1 poll
            up ANN0000000 0 done
            net g0>h0 6
            net g1>h0 2
            task h0 5 done
            task h0 6 done
            task h0 7 done
            task h0 4 done
            task h0 2 done
            sign_in bob
            task h0 5 done
            task h0 7 done
            keys BOB0000001 g0
            task h0 5 done
            task h0 7 done
            net h0>g1 2
            task h0 4 done
            down ANN0000000 6
            task h0 7 done
            task h0 3 done
            net h0>g0 2
            flush ANN0000000
            up ANN0000000 0 done
        """),
    ),
    "a stream that took over began behind what the one before was told, and its end woke no one": (
        Plan(shards=1, devices=(2, 1)),
        _steps("""
            connect BOB0000000 g0 background
            net g0>h0 1
            up BOB0000000 0 done
            net g0>h0 1
            net h0>g0 6
            turn r0 6
            connect ANN0000001 g0 stream
            turn r0 6
            net r0>h0 1
            up ANN0000001 0 done
            net g0>h0 2
            task h0 0 done
            task h0 6 done
            task h0 7 done
            task h0 2 done
            task h0 7 done
            task h0 7 done
            net h0>g0 2
            down ANN0000001 1
            down ANN0000001 1
            place g0
            net g0>h0 1
            task h0 3 done
            task h0 0 done
            task h0 4 done
            task h0 3 done
            task h0 2 done
            task h0 7 done
            net h0>g0 6
            down BOB0000000 1
            say BOB0000000 ann
            flush BOB0000000
            up BOB0000000 0 done
            turn r0 1
            net r0>h0 1
            net h0>g0 1
            down ANN0000001 1
            drop ANN0000001
            connect ANN0000001 g0 background
        """),
    ),
    "a device was told of a message without a copy, and did not take the copy that came after": (
        Plan(shards=2, devices=(2, 1, 2)),
        _steps("""
            connect BOB0000000 g0 stream
            up BOB0000000 0 done
            net g0>h0 1
            turn r0 6
            turn r0 1
            net r0>h0 1
            say BOB0000000 cat
            device bob g1
            net g0>h0 1
            task h0 7 done
            task h0 6 done
            task h0 0 done
            task h0 1 done
            task h0 5 done
            task h0 5 done
            net h0>g0 6
            down BOB0000000 6
            flush BOB0000000
            up BOB0000000 0 done
            down BOB0000000 2
            flush BOB0000000
            up BOB0000000 0 done
            device bob g1
            lose 1
        """),
    ),
    "a message was sealed again for a new device, and no device got the copies that had not been written": (
        Plan(shards=1, devices=(1, 2)),
        _steps("""
            turn r0 6
            turn r0 6
            net r0>h0 6
            connect BOB0000000 g0 stream
            up BOB0000000 0 done
            net g0>h0 6
            task h0 0 done
            task h0 0 done
            task h0 0 done
            task h0 0 done
            task h0 0 done
            task h0 0 done
            net h0>g0 6
            down BOB0000000 6
            say BOB0000000 ann
            flush BOB0000000
            up BOB0000000 0 done
            down BOB0000000 6
            flush BOB0000000
            up BOB0000000 0 lost
            device bob g0
            down BOB0000000 6
            tick 70000
        """),
    ),
    "a note to oneself counted as lost where there was no other device to take it": (
        Plan(shards=1, devices=(1, 1)),
        _steps("""
            say BOB0000000 bob
            flush BOB0000000
        """),
    ),
    "what a host was told of a device's keys counted for its push token": (
        Plan(shards=2, devices=(1, 2)),
        _steps("""
            turn r0 1
            turn r0 2
            connect BOB0000000 g1 stream
            net r0>h0 2
            up BOB0000000 0 done
            net g1>h0 2
            task h0 4 done
            task h0 7 done
            task h0 1 done
            task h0 3 done
            task h0 3 done
            task h0 1 done
            net h0>g1 6
            sign_in bob
            keys BOB0000002 g1
            refresh g1
            refresh g0
            say BOB0000000 bob
            net g0>h0 6
            sign_in ann
            net g1>h0 6
            task h0 2 done
            task h0 0 done
            task h0 0 done
            task h0 1 done
            net h0>g0 6
            token BOB0000002
            down BOB0000000 2
            flush BOB0000000
        """),
    ),
    "a fresh token was not pushed for what waits, as its device had asked and left": (
        Plan(shards=1, devices=(1, 2)),
        _steps("""
            net g1>h0 2
            net g0>h0 2
            say ANN0000000 bob
            turn r0 6
            connect ANN0000000 g0 poll
            turn r0 6
            net r0>h0 1
            up ANN0000000 0 done
            net g0>h0 1
            task h0 1 done
            task h0 1 done
            task h0 5 done
            task h0 3 done
            task h0 0 done
            task h0 0 done
            net h0>g0 1
            connect BOB0000001 g1 poll
            down ANN0000000 1
            up BOB0000001 0 done
            flush ANN0000000
            net g1>h0 1
            up ANN0000000 0 done
            task h0 5 done
            turn r0 6
            net r0>h0 1
            task h0 1 done
            task h0 4 done
            task h0 4 done
            task h0 4 done
            task h0 3 done
            write h0 wakeups
            write h0 documents
            write h0 rows
            task h0 0 done
            task h0 4 done
            task h0 3 done
            net h0>r0 1
            token BOB0000000
            crash h0 0
            connect BOB0000000 g0 poll
        """),
    ),
    "a host that had stored a message died before it asked for a wake-up, and the log was lost as well": (
        Plan(shards=2, devices=(2, 1)),
        _steps("""
            net g1>h1 6
            turn r1 1
            turn r1 1
            connect ANN0000000 g1 stream
            net r1>h1 1
            say ANN0000000 ann
            up ANN0000000 0 done
            net g1>h1 1
            task h1 7 done
            task h1 5 done
            task h1 3 done
            task h1 2 done
            task h1 3 done
            task h1 2 done
            net h1>g1 2
            down ANN0000000 1
            flush ANN0000000
            up ANN0000000 0 done
            turn r1 6
            net r1>h1 6
            write h1 documents
            task h1 7 done
            crash h1 0
            lose 1
        """),
    ),
    "a note to oneself was told to be delivered before its mailbox had it, and went down with its log": (
        Plan(shards=1, devices=(1, 2)),
        _steps("""
            turn r0 6
            connect BOB0000001 g0 poll
            connect BOB0000000 g0 stream
            turn r0 6
            net r0>h0 6
            up BOB0000001 0 done
            net g0>h0 6
            task h0 7 done
            task h0 6 done
            task h0 4 done
            task h0 3 done
            task h0 7 done
            up BOB0000000 0 done
            net g0>h0 1
            reroute 0
            task h0 3 done
            net h0>g0 2
            down BOB0000000 1
            say BOB0000000 bob
            router r1
            flush BOB0000000
            up BOB0000000 0 done
            turn r1 1
            lose 0
            turn r1 1
            net r1>h0 6
            write h0 receipts
            crash h0 3
            remake 0
        """),
    ),
    "copies were no longer owed once a message was sealed again without them": (
        Plan(shards=1, devices=(1, 2)),
        _steps("""
            turn r0 6
            connect BOB0000001 g0 poll
            connect BOB0000000 g0 stream
            turn r0 6
            net r0>h0 6
            up BOB0000001 0 done
            tick 70000
            net g0>h0 6
            task h0 7 done
            task h0 6 done
            task h0 4 done
            task h0 3 done
            task h0 7 done
            up BOB0000000 0 done
            down BOB0000001 6
            net g0>h0 1
            reroute 0
            task h0 3 done
            net h0>g0 2
            say BOB0000001 ann
            down BOB0000000 1
            say BOB0000000 bob
            connect BOB0000001 g1 stream
            router r1
            flush BOB0000000
            up BOB0000001 0 done
            net g1>h0 2
            up BOB0000000 0 done
            net h0>g1 2
            turn r1 1
            turn r1 1
            net r1>h0 6
            write h0 rows
            sign_in ann
            say BOB0000001 bob
            down BOB0000001 6
            lose 0
            flush BOB0000001
            crash h0 3
            up BOB0000001 0 done
            down BOB0000001 1
            flush BOB0000001
            sign_in bob
            up BOB0000001 0 done
            remake 0
            up BOB0000001 0 done
            down BOB0000001 6
            tick 70000
        """),
    ),
    "a host that alone knew of a block stored an entry that skips what the next host stored": (
        Plan(shards=2, devices=(1, 1)),
        _steps("""
            say ANN0000000 bob
            say BOB0000000 ann
            turn r1 2
            turn r0 1
            turn r1 2
            net g0>h0 2
            net r1>h1 6
            turn r0 1
            net r0>h0 2
            block ann bob False g0
            net g0>h1 2
            task h1 0 done
            block bob ann True g1
            task h1 0 done
            task h1 1 done
            task h1 4 done
            task h1 3 done
            task h1 5 done
            net g1>h0 6
            connect ANN0000000 g1 background
            task h0 1 done
            task h0 2 done
            task h0 2 done
            up ANN0000000 0 done
            net g1>h1 2
            net h1>g1 2
            task h0 2 done
            sign_in bob
            task h0 1 done
            task h0 4 done
            move 0
            down ANN0000000 6
            connect BOB0000000 g0 background
            up BOB0000000 0 done
            net g0>h0 1
            flush ANN0000000
            net h0>g0 1
            up ANN0000000 0 done
            down BOB0000000 1
            flush BOB0000000
            up BOB0000000 0 done
            turn r0 6
            net r0>h0 1
            block bob ann False g0
            net g0>h0 6
            block bob ann True g1
            net g1>h0 6
        """),
    ),
    "a host that knew of no block stored an entry that the next host skips": (
        Plan(shards=1, devices=(1, 1, 1)),
        _steps("""
            net g0>h0 2
            net g1>h0 1
            connect CAT0000000 g1 stream
            turn r0 2
            up CAT0000000 0 done
            net g1>h0 1
            net h0>g1 1
            turn r0 6
            net g1>h0 1
            net r0>h0 1
            say CAT0000000 bob
            place g1
            net g1>h0 1
            task h0 5 done
            task h0 7 done
            task h0 6 done
            task h0 7 done
            task h0 2 done
            task h0 4 done
            connect BOB0000000 g1 stream
            net h0>g1 1
            net h0>g1 1
            down CAT0000000 1
            connect ANN0000000 g1 stream
            move 0
            up ANN0000000 0 done
            net g1>h0 1
            say CAT0000000 ann
            task h0 7 done
            task h0 1 done
            flush CAT0000000
            task h0 4 done
            task h0 7 done
            task h0 4 done
            task h0 3 done
            up BOB0000000 0 done
            up CAT0000000 0 done
            turn r0 1
            net r0>h0 1
            net h0>g1 1
            task h0 6 done
            block ann bob True g0
            task h0 4 done
            task h0 0 done
            map h1
            task h0 5 done
            task h0 7 done
            task h0 3 done
            net g1>h0 1
            net g0>h0 1
            net h0>g1 2
            up CAT0000000 0 done
            down BOB0000000 6
            say BOB0000000 ann
            map r0
            flush BOB0000000
            turn r0 1
            turn r0 6
            net r0>h1 6
            task h1 7 done
            up BOB0000000 0 done
            task h1 5 done
            turn r0 1
            task h1 2 done
            task h1 6 done
            net r0>h1 2
            task h1 5 done
            move 0
            task h1 6 done
            task h1 1 done
            say CAT0000000 ann
        """),
    ),
    "a host that had lost a user wrote its changes of a block over those of the next": (
        Plan(shards=1, devices=(1, 2)),
        _steps("""
            net g1>h0 6
            reroute 0
            block ann bob True g0
            net g0>h0 2
            move 0
            map h1
            reroute 0
            device ann g1
            refresh g1
            map g1
            net g1>h0 1
            block ann bob False g0
            net h0>g1 1
            reroute 0
            reroute 0
            refresh g1
            reroute 0
            reroute 0
            block ann bob False g1
            net g1>h1 2
            block ann bob True g1
            reroute 0
            net h0>g0 2
            net h1>g1 1
            net g1>h1 2
            place g1
            block bob ann True g1
            move 0
            net g1>h1 1
            move 0
            net g1>h1 1
            map g0
            net h1>g1 6
            place g1
            reroute 0
            map r0
            turn r0 2
            net g1>h1 1
            turn r0 2
            net r0>h1 6
            reroute 0
            net g1>h1 2
            task h1 6 done
            net g1>h1 1
            task h1 5 done
            task h1 0 done
            task h1 0 done
            task h1 3 done
            block bob ann False g0
            place g0
            reroute 0
            task h1 5 done
            net g1>h1 6
            task h1 6 done
            move 0
            map r0
            task h1 0 done
            net g0>h1 6
            turn r0 6
            task h1 0 done
        """),
    ),
}
