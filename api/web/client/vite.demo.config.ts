/** The pages on an engine in memory, to look at them: `npm run demo`. Never part of the build. */

import { fileURLToPath } from 'node:url'
import { mergeConfig } from 'vitest/config'
import base from './vite.config'

export default mergeConfig(base, {
  resolve: {
    alias: [
      {
        find: /^\.\/engine\/connect$/,
        replacement: fileURLToPath(new URL('./src/dev/connect.ts', import.meta.url)),
      },
      {
        find: /^\.\/net\/connect$/,
        replacement: fileURLToPath(new URL('./src/ops/dev/connect.ts', import.meta.url)),
      },
    ],
  },
  build: { outDir: 'node_modules/.demo' },
})
