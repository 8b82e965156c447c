/** The browser's own reader of QR codes, where it has one. */

interface Detector {
  detect(source: HTMLVideoElement): Promise<{ rawValue: string }[]>
}

type DetectorClass = new (options: { formats: string[] }) => Detector

function detectorClass(): DetectorClass | undefined {
  return (globalThis as { BarcodeDetector?: DetectorClass }).BarcodeDetector
}

export function canScan(): boolean {
  return detectorClass() !== undefined && navigator.mediaDevices !== undefined
}

/** Look at the picture until a code is in it; stopped, it answers null. */
export async function scan(video: HTMLVideoElement, stopped: AbortSignal): Promise<string | null> {
  const Class = detectorClass()
  if (!Class) return null
  const detector = new Class({ formats: ['qr_code'] })
  while (!stopped.aborted) {
    const [found] = await detector.detect(video)
    if (found) return found.rawValue
    await new Promise(resolve => setTimeout(resolve, 150))
  }
  return null
}
