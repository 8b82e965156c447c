/** Reading QR codes with the camera: by the browser's own reader where it has one, else by a library. */

/** Looks at one picture of the video; null: there is no code in it. */
type Reader = (video: HTMLVideoElement) => Promise<string | null>

interface Detector {
  detect(source: HTMLVideoElement): Promise<{ rawValue: string }[]>
}

interface DetectorClass {
  new (options: { formats: string[] }): Detector
  getSupportedFormats(): Promise<string[]>
}

const EVERY_MS = 150

/** Pixels of the longer side that the library looks at: enough for a code that fills half of it. */
const LONGEST = 800

/** A page without TLS is not let at the camera. */
export const canScan = (): boolean => navigator.mediaDevices?.getUserMedia !== undefined

/** Looks at the video until a code is in it; stopped, it answers null. */
export async function scan(video: HTMLVideoElement, stopped: AbortSignal): Promise<string | null> {
  const read = (await ownReader()) ?? (await libraryReader())
  while (!stopped.aborted) {
    const found = await read(video)
    if (found !== null) return found
    await new Promise(resolve => setTimeout(resolve, EVERY_MS))
  }
  return null
}

async function ownReader(): Promise<Reader | null> {
  const Class = (globalThis as { BarcodeDetector?: DetectorClass }).BarcodeDetector
  if (!(await Class?.getSupportedFormats())?.includes('qr_code') || !Class) return null
  const detector = new Class({ formats: ['qr_code'] })
  return async video => (await detector.detect(video))[0]?.rawValue ?? null
}

async function libraryReader(): Promise<Reader> {
  const { decodeQR } = await import('qr/decode.js')
  const canvas = document.createElement('canvas')
  const context = canvas.getContext('2d', { willReadFrequently: true }) as CanvasRenderingContext2D
  return async video => {
    const scale = Math.min(1, LONGEST / Math.max(video.videoWidth, video.videoHeight))
    canvas.width = Math.round(video.videoWidth * scale)
    canvas.height = Math.round(video.videoHeight * scale)
    context.drawImage(video, 0, 0, canvas.width, canvas.height)
    try {
      return decodeQR(context.getImageData(0, 0, canvas.width, canvas.height))
    } catch {
      return null // so the library says that there is none
    }
  }
}
