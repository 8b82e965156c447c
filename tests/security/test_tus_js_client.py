"""``tus-js-client``, as it comes from npm, uploads to a gateway and goes on after a stop."""

import asyncio
import secrets
from pathlib import Path

from tests.integration.api_world import Urls, running

PACKAGE = "tus-js-client@4.3.1"
SCRIPT = Path(__file__).with_name("upload.mjs")


async def run(folder: Path, *command: str) -> str:
    child = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(100):
        out, err = await child.communicate()
    assert child.returncode == 0, err.decode()
    return out.decode().strip()


async def test_tus_js_client_uploads_unmodified(mongo_url: str, redis_url: str, tmp_path: Path) -> None:
    await run(tmp_path, "npm", "install", "--silent", "--no-fund", "--no-audit", PACKAGE)
    data = secrets.token_bytes(1_234_567)
    (tmp_path / "file").write_bytes(data)
    async with running(Urls(mongo_url, redis_url)) as world:
        person = await world.person(keys=False)
        endpoint = f"{world.addresses[0]}/v1/media/uploads"
        url = await run(tmp_path, "node", str(SCRIPT), endpoint, person.token, str(tmp_path / "file"))
        headers = {"Authorization": f"Bearer {person.token}"}
        media = f"{world.addresses[0]}/v1/media/{url.rpartition('/')[2]}"
        async with world.http.get(media, headers=headers) as answer:
            assert await answer.read() == data
