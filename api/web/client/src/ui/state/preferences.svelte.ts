/** What this browser remembers about the look of the app; a private window may forget it. */

export type Theme = 'system' | 'light' | 'dark'

const THEME = 'roost.theme'

function remembered(key: string): string | null {
  try {
    return localStorage.getItem(key)
  } catch {
    return null // storage is refused here: the default look is used
  }
}

function remember(key: string, value: string): void {
  try {
    localStorage.setItem(key, value)
  } catch {
    // Storage is refused here; the choice holds until the page is closed.
  }
}

export class Preferences {
  theme = $state<Theme>('system')

  constructor() {
    const theme = remembered(THEME)
    this.set(theme === 'light' || theme === 'dark' ? theme : 'system')
  }

  set(theme: Theme): void {
    this.theme = theme
    remember(THEME, theme)
    const root = document.documentElement
    if (theme === 'system') root.removeAttribute('data-theme')
    else root.dataset.theme = theme
  }
}
