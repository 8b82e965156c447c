/** Pictures for the demo, painted here. */

import type { FileView } from '../app/contract'

const painted = new Map<string, Blob>()

/** The bytes of a picture that was made here. */
export function bytesOf(name: string): Blob {
  return painted.get(name) ?? new Blob([`the content of ${name}`], { type: 'text/plain' })
}

export async function picture(width: number, height: number, birds: number): Promise<FileView> {
  const name = `birds-${birds}.jpg`
  const whole = await paint(width, height, birds, 0.9)
  painted.set(name, whole)
  const small = await paint(64, Math.round((64 * height) / width), birds, 0.6)
  const thumbnail = new Uint8Array(await small.arrayBuffer())
  return { name, type: 'image/jpeg', size: whole.size, width, height, thumbnail }
}

function paint(width: number, height: number, birds: number, quality: number): Promise<Blob> {
  const canvas = new OffscreenCanvas(width, height)
  const context = canvas.getContext('2d')
  if (!context) throw new Error('no canvas here')
  const sky = context.createLinearGradient(0, 0, 0, height)
  sky.addColorStop(0, '#2b2460')
  sky.addColorStop(0.6, '#b56576')
  sky.addColorStop(1, '#eaac8b')
  context.fillStyle = sky
  context.fillRect(0, 0, width, height)
  context.strokeStyle = context.fillStyle = '#1c1630'
  context.lineWidth = height / 150
  context.beginPath()
  context.moveTo(0, height * 0.6)
  context.quadraticCurveTo(width / 2, height * 0.68, width, height * 0.6)
  context.stroke()
  for (let bird = 0; bird < birds; bird++) {
    const x = (width * (bird + 1)) / (birds + 1)
    context.beginPath()
    context.ellipse(x, height * 0.6, height / 40, height / 22, 0.2, 0, 7)
    context.fill()
  }
  return canvas.convertToBlob({ type: 'image/jpeg', quality })
}
