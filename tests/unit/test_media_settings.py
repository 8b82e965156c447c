"""Settings of the bucket of media: options that are none, a file of secrets, authorities."""

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.doctor import encryption, start
from cluster.doctor.media import media_store
from cluster.settings import Settings, SettingsInvalid
from cluster.settings.shown import shown


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def given(**media: Any) -> Settings:
    return Settings.load({"media": {"url": "s3://bucket", **media}})


def options_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "options.json"
    file.touch(mode)
    file.write_text(text)
    file.chmod(mode)
    return file


@pytest.mark.parametrize(
    "name",
    ["allow_http", "AWS_ALLOW_HTTP", "azure_allow_invalid_certificates", "google_proxy_url", "timeout"],
)
def test_what_is_of_the_connection_is_no_option(name: str) -> None:
    """The client of the bucket would end the process."""
    with pytest.raises(SettingsInvalid) as refused:
        given(options={name: "true"})
    assert name in str(refused.value)
    assert "ROOST_MEDIA__CA" in str(refused.value)


@pytest.mark.parametrize("name", ["endpoint", "AWS_ENDPOINT_URL", "azure_storage_endpoint", "base_url"])
@pytest.mark.parametrize("address", ["minio:9000", "https://", "ftp://x", ""])
def test_an_address_that_is_none(name: str, address: str) -> None:
    """Likewise."""
    with pytest.raises(SettingsInvalid) as refused:
        given(options={name: address})
    assert f"{name} is no address that begins with https://" in str(refused.value)


def test_options_of_a_file_join_the_others(tmp_path: Path) -> None:
    file = options_file(tmp_path, json.dumps({"secret_access_key": "hush", "endpoint": "http://127.0.0.1:9"}))
    settings = given(options={"region": "eu-north-1"}, options_file=str(file), ca="ca.pem")
    access = settings.media.access()
    assert access.options == {
        "region": "eu-north-1",
        "secret_access_key": "hush",
        "endpoint": "http://127.0.0.1:9",
    }
    assert access.cleartext
    assert access.ca == tmp_path / "ca.pem"
    assert "hush" not in f"{settings}{shown(settings)}{access}{settings.model_dump_json()}"


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [
        ('{"region": "x"}', 0o640, "chmod 600"),
        ("", 0o600, "is empty"),
        ('{"secret_access_key": hush}', 0o600, "JSON"),
        ('["hush"]', 0o600, "object"),
        ('{"secret_access_key": 5}', 0o600, "str"),
        ('{"allow_http": "true"}', 0o600, "allow_http"),
    ],
)
async def test_a_file_of_options_that_cannot_be_used(tmp_path: Path, text: str, mode: int, why: str) -> None:
    settings = given(options_file=str(options_file(tmp_path, text, mode)))
    [found] = encryption.findings(settings)
    assert found.state == "failed"
    assert why in found.detail
    assert "hush" not in found.detail
    assert "ROOST_MEDIA__OPTIONS_FILE" in found.fix
    refusal = start.wrong_here(settings)
    assert refusal is not None
    assert why in refusal.sentence
    assert (await media_store(settings)).state == "failed"


@pytest.mark.parametrize("content", [None, "nonsense"])
async def test_a_file_of_authorities_that_cannot_be_used(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    settings = given(ca=str(file))
    refusal = start.wrong_here(settings)
    assert refusal is not None
    assert "ROOST_MEDIA__CA" in refusal.sentence
    assert (await media_store(settings)).state == "failed"


@pytest.mark.parametrize(
    ("url", "options", "what"),
    [
        ("s3://bucket", {"acces_key_id": "x"}, "acces_key_id"),
        ("az://bucket", {"skip_signature": "perhaps", "account_name": "x"}, "perhaps"),
        ("gs://bucket", {"service_account_key": "{}"}, "private_key"),
    ],
)
async def test_an_option_that_the_cloud_has_not(url: str, options: dict[str, str], what: str) -> None:
    found = await media_store(given(url=url, options=options))
    assert found.state == "failed"
    assert what in found.detail
    assert "Debug" not in found.detail
    assert "Correct ROOST_MEDIA__OPTIONS" in found.fix
