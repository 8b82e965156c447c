"""Defaults of what the API may be told are written once, in the settings."""

import pytest

from api.collaborators import ApiSettings
from api.gateway import _api
from api.sending.admission import Bounds
from cluster.settings import Settings


def test_token_lifetimes_come_from_the_settings() -> None:
    settings = Settings.load({"tokens": {"access_s": 61, "refresh_s": 62}})
    assert (_api(settings).access_ttl_s, _api(settings).refresh_ttl_s) == (61, 62)
    with pytest.raises(TypeError):
        ApiSettings("example.org")  # type: ignore[call-arg]


def test_a_gateway_knows_whether_there_is_fcm() -> None:
    assert [_api(Settings.load({"fcm": given})).fcm for given in ({}, {"credentials_file": "a"})] == [
        False,
        True,
    ]


def test_the_bounds_of_tests_are_those_of_the_settings() -> None:
    assert _api(Settings.load({})).admission == Bounds()
