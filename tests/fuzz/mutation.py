"""Small changes of bytes, as a fuzzer makes them."""

import random

_ODD = (
    b"\x00",
    b"\xff",
    b"\xc1",
    b"\xdf\xff\xff\xff\xff",
    b"\xed\xa0\x80",
    b"[" * 40,
    b"\x91" * 40,
    b'"',
    b".",
    b",",
    b"=",
    b"-1",
)


def mutated(data: bytes, luck: random.Random) -> bytes:
    """Return other bytes, near these."""
    made = bytearray(data)
    for _ in range(luck.randint(1, 4)):
        at = luck.randint(0, len(made))
        match luck.randrange(5):
            case 0 if made:
                made[at % len(made)] ^= 1 << luck.randrange(8)
            case 1:
                del made[at : at + luck.randint(1, 8)]
            case 2:
                made[at:at] = luck.choice(_ODD)
            case 3:
                made[at:at] = made[: luck.randint(0, len(made))]
            case _:
                made[at : at + 1] = luck.randbytes(luck.randint(1, 3))
    return bytes(made)
