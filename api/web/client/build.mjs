/**
 * Builds the client: `node build.mjs [FOLDER [CONFIG]]`.
 *
 * The client's pages come first; then the operators' page, which shares nothing with them; then the service
 * worker, which carries the hash of each of the client's files, for it keeps those only; then the compressed form
 * of each; and at last `integrity.json`, which says what a server is to serve.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative, resolve, sep } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { build } from 'vite'

const COMPRESSED = /\.(css|html|js|json|svg|webmanifest)$/
const out = resolve(process.argv[2] ?? '../build')

const hash = bytes => `sha256-${createHash('sha256').update(bytes).digest('base64')}`

/** Every file in the folder, by its path from there. */
function files() {
  const found = readdirSync(out, { recursive: true, withFileTypes: true }).filter(each => each.isFile())
  const paths = found.map(each => relative(out, join(each.parentPath, each.name)).split(sep).join('/'))
  return Object.fromEntries(paths.sort().map(path => [path, readFileSync(join(out, path))]))
}

function hashes() {
  return Object.fromEntries(Object.entries(files()).map(([path, bytes]) => [path, hash(bytes)]))
}

/** In a folder of its own, so that the service worker tells its files from the client's. */
async function buildOperatorsPage() {
  await build({
    logLevel: 'warn',
    configFile: process.argv[3],
    publicDir: false,
    build: { outDir: out, emptyOutDir: false, assetsDir: 'assets/ops', rollupOptions: { input: 'ops.html' } },
  })
}

async function buildServiceWorker(pinned) {
  await build({
    configFile: false,
    logLevel: 'warn',
    publicDir: false,
    define: { __BUILD__: JSON.stringify(pinned) },
    build: {
      outDir: out,
      emptyOutDir: false,
      target: 'es2022',
      lib: { entry: 'src/sw.ts', formats: ['iife'], name: 'roost', fileName: () => 'sw.js' },
    },
  })
}

function compress() {
  for (const [path, bytes] of Object.entries(files())) {
    if (!COMPRESSED.test(path)) continue
    const quality = {
      [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    }
    const forms = { br: brotliCompressSync(bytes, { params: quality }), gz: gzipSync(bytes, { level: 9 }) }
    for (const [ending, form] of Object.entries(forms)) {
      if (form.length < bytes.length) writeFileSync(join(out, `${path}.${ending}`), form)
    }
  }
}

rmSync(out, { recursive: true, force: true })
await build({ logLevel: 'warn', configFile: process.argv[3], build: { outDir: out, emptyOutDir: true } })
const pages = hashes()
await buildOperatorsPage()
const id = createHash('sha256').update(JSON.stringify(hashes())).digest('hex').slice(0, 16)
await buildServiceWorker({ id, files: pages })
const all = hashes()
compress()
const sized = Object.entries(all).map(([path, sha256]) => [
  path,
  { sha256, size: readFileSync(join(out, path)).length },
])
writeFileSync(
  join(out, 'integrity.json'),
  `${JSON.stringify({ build: id, files: Object.fromEntries(sized) }, null, 1)}\n`,
)
