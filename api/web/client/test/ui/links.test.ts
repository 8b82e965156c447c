import { describe, expect, it } from 'vitest'
import { parts } from '../../src/ui/lib/links'

const hrefs = (text: string) =>
  parts(text)
    .filter(part => part.href)
    .map(part => part.text)

describe('links in a text', () => {
  it.each([
    ['see https://example.org/a?b=1#c now', 'https://example.org/a?b=1#c'],
    ['HTTP://EXAMPLE.ORG', 'HTTP://EXAMPLE.ORG'],
    ['(https://example.org).', 'https://example.org'],
    ['https://en.example.org/Roost_(bird), yes', 'https://en.example.org/Roost_(bird)'],
    ['https://例え.テスト/道。', 'https://例え.テスト/道。'],
    ['one\nhttps://a.example\ntwo', 'https://a.example'],
  ])('%s', (text, link) => {
    expect(hrefs(text)).toEqual([link])
  })

  it.each([
    'javascript:alert(1)',
    'data:text/html,hi',
    'file:///etc/passwd',
    'https://',
    'https://bank.example@evil.example/',
    'xhttps://example.org',
    'ftp://example.org',
    'java\nscript:alert(1)',
  ])('does not open %s', text => {
    expect(hrefs(text)).toEqual([])
  })

  it('ends where the reading direction turns', () => {
    expect(hrefs('https://example.org/\u202egpj.exe')).toEqual(['https://example.org/'])
  })

  it('loses nothing of the text', () => {
    const text = 'a https://x.example, b (https://y.example/) https://u:p@z.example 🐦'
    expect(
      parts(text)
        .map(part => part.text)
        .join(''),
    ).toBe(text)
  })
})
