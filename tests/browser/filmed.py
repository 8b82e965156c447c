"""What is on one person's screen, filmed by another person's camera."""

import asyncio
import base64
from pathlib import Path
from typing import Final

from playwright.async_api import Locator

_WIDTH: Final = 640
_HEIGHT: Final = 480

_FILM: Final = """(_, [picture, width, height]) => {
  const canvas = new OffscreenCanvas(width, height)
  const context = canvas.getContext('2d')
  const bytes = Uint8Array.from(atob(picture), each => each.charCodeAt(0))
  return createImageBitmap(new Blob([bytes])).then(image => {
    context.fillStyle = '#777'
    context.fillRect(0, 0, width, height)
    context.translate(width / 2, height / 2)
    context.rotate(0.1) // no one holds a phone straight
    const size = height * 0.75
    context.drawImage(image, -size / 2, -size / 2, size, size)
    const { data } = context.getImageData(0, 0, width, height)
    let grey = ''
    for (let at = 0; at < data.length; at += 4) {
      grey += String.fromCharCode(Math.round((data[at] + data[at + 1] + data[at + 2]) / 3))
    }
    return btoa(grey)
  })
}"""


async def film(what: Locator, file: Path) -> None:
    """Write a film of one frame, in YUV4MPEG2: grey, a little askew."""
    picture = base64.b64encode(await what.screenshot()).decode()
    grey = base64.b64decode(await what.evaluate(_FILM, [picture, _WIDTH, _HEIGHT]))
    colours = bytes([128]) * (_WIDTH * _HEIGHT // 2)
    head = f"YUV4MPEG2 W{_WIDTH} H{_HEIGHT} F10:1 Ip A1:1 C420jpeg\nFRAME\n"
    await asyncio.to_thread(file.write_bytes, head.encode() + grey + colours)
