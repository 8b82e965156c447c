import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  base: './',
  plugins: [svelte()],
  build: {
    outDir: '../build',
    emptyOutDir: true,
    target: 'es2022',
    cssTarget: ['chrome123', 'firefox125', 'safari17.5'], // light-dark() is native there
    assetsInlineLimit: 0, // the policy allows no data: scripts or styles
    modulePreload: { polyfill: false },
  },
  worker: { format: 'es' },
  server: { proxy: { '/v1': { target: 'http://127.0.0.1:8080', ws: true } } },
  test: {
    include: ['test/**/*.test.ts'],
    environment: 'node',
    testTimeout: 60_000,
    execArgv: ['--experimental-websocket'], // Node 20 has the browsers' WebSocket behind this
  },
})
