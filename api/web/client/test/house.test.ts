import { afterEach, describe, expect, it, vi } from 'vitest'
import { missing } from '../src/house/missing'
import { allowOwnScripts } from '../src/house/trusted'

afterEach(() => vi.unstubAllGlobals())

describe('the scripts that code may load', () => {
  function rules(): (url: string) => string {
    let made: ((url: string) => string) | null = null
    vi.stubGlobal('document', { baseURI: 'https://roost.example/chat/index.html' })
    vi.stubGlobal('trustedTypes', {
      createPolicy(name: string, given: { createScriptURL(url: string): string }) {
        expect(name).toBe('default')
        expect(Object.keys(given)).toEqual(['createScriptURL'])
        made = given.createScriptURL
      },
    })
    allowOwnScripts()
    if (made === null) throw new Error('no policy was made')
    return made
  }

  it.each(['sw.js', './sw.js', 'assets/engine-abc.js', 'https://roost.example/chat/assets/a_b.c-1.js'])(
    'takes %s',
    url => expect(rules()(url)).toBe(new URL(url, 'https://roost.example/chat/').href),
  )

  it.each([
    'https://evil.example/chat/sw.js',
    '//evil.example/sw.js',
    'https://roost.example/other/sw.js',
    'assets/../v1/media/file.js',
    'v1/media/file.js',
    'assets/deep/er.js',
    'assets/a.js?x',
    'blob:https://roost.example/1',
    'data:text/javascript,go()',
  ])('refuses %s', url => expect(() => rules()(url)).toThrow(TypeError))
})

describe('what is missing', () => {
  it('is TLS, on a page in the clear', () => {
    vi.stubGlobal('isSecureContext', false)
    vi.stubGlobal('location', { protocol: 'http:' })
    expect(missing()).toContain('https://')
  })

  it('is a current browser, if there is no WebCrypto', () => {
    vi.stubGlobal('isSecureContext', true)
    vi.stubGlobal('crypto', {})
    expect(missing()).toContain('too old')
  })

  it('is nothing, in a current one', () => {
    vi.stubGlobal('isSecureContext', true)
    vi.stubGlobal('WebSocket', class {})
    expect(missing()).toBeNull()
  })
})

describe('the sources', () => {
  const sources = import.meta.glob<string>('../src/**/*.{ts,svelte}', {
    query: '?raw',
    import: 'default',
    eager: true,
  })
  const makesCode =
    /\{@html|\.(inner|outer)HTML\b|insertAdjacentHTML|document\.write|\beval\(|new Function\(|srcdoc|createHTML/

  // Svelte's policy takes whatever its templates and {@html} give it.
  it.each(Object.entries(sources))('%s makes no HTML or code of text', (_, text) => {
    expect(text).not.toMatch(makesCode)
  })
})
