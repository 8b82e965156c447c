/** Pictures: their size, and a small one to go with the message. */

const SIDES = [160, 120, 80]
const QUALITIES = [0.7, 0.5, 0.3]
const BYTES = 8 * 1024

export interface Pictured {
  width: number
  height: number
  thumbnail: Uint8Array | null
}

/** What a picture looks like; null if it is none, or this browser cannot read it. */
export async function pictured(file: Blob): Promise<Pictured | null> {
  if (!file.type.startsWith('image/') || typeof createImageBitmap === 'undefined') {
    return null
  }
  let bitmap: ImageBitmap
  try {
    bitmap = await createImageBitmap(file)
  } catch {
    return null // a form of picture that this browser does not know: it goes as a file
  }
  const { width, height } = bitmap
  const thumbnail = typeof OffscreenCanvas === 'undefined' ? null : await small(bitmap)
  bitmap.close()
  return { width, height, thumbnail }
}

/** The best JPEG of it that is small enough; null if none is. */
async function small(bitmap: ImageBitmap): Promise<Uint8Array | null> {
  for (const side of SIDES) {
    const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height))
    const [width, height] = [bitmap.width, bitmap.height].map(each => Math.max(1, Math.round(each * scale)))
    const canvas = new OffscreenCanvas(width as number, height as number)
    const drawing = canvas.getContext('2d')
    if (drawing === null) {
      return null
    }
    drawing.fillStyle = 'white'
    drawing.fillRect(0, 0, canvas.width, canvas.height)
    drawing.drawImage(bitmap, 0, 0, canvas.width, canvas.height)
    for (const quality of QUALITIES) {
      const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality })
      if (blob.size <= BYTES) {
        return new Uint8Array(await blob.arrayBuffer())
      }
    }
  }
  return null
}
