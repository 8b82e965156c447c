from pathlib import Path

from cluster.doctor.media import media_store
from cluster.settings import Cluster, Settings
from cluster.settings.media import Media
from cluster.settings.shown import shown


def files(folder: Path) -> list[Path]:
    return [each for each in folder.rglob("*") if each.is_file()]


async def test_a_store_of_media_is_tried(tmp_path: Path) -> None:
    shared = Media(url=(tmp_path / "shared").as_uri())
    assert (await media_store(Settings(media=shared, cluster=Cluster(address="auto")))).state == "ok"
    assert files(tmp_path) == []
    (tmp_path / "file").touch()
    found = await media_store(Settings(media=Media(url=(tmp_path / "file").as_uri())))
    assert (found.state, "cannot be used" in found.detail) == ("failed", True)


async def test_a_folder_of_each_machine_is_told_of() -> None:
    assert (await media_store(Settings())).state == "ok"
    assert (await media_store(Settings(cluster=Cluster(address="auto")))).state == "warning"


def test_credentials_are_not_shown() -> None:
    media = Media(url="s3://bucket", options={"secret_access_key": "hush", "region": "eu-north-1"})
    settings = Settings(media=media)
    assert "hush" not in repr(shown(settings)) + repr(settings)
