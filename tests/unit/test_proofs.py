"""The very bytes that devices sign: other clients sign the same."""

from roost.proofs import challenge_message, refresh_message


def test_the_bytes_of_the_contract() -> None:
    assert refresh_message("rr1.a.b") == b"roost.refresh.v1\x00rr1.a.b"
    assert challenge_message("alice", "PHONE", "n", "example.org") == (
        b'roost.auth.v1\x00{"device_id":"PHONE","nonce":"n","server":"example.org","user":"alice"}'
    )
