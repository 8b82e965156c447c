/** The rules for a new password, shown while it is typed. The server checks again, and for common ones. */

export const LENGTH_MIN = 8

export interface Rule {
  text: string
  met: boolean
}

export function passwordRules(password: string, username: string): Rule[] {
  const plain = password.normalize('NFKC')
  const name = username.trim().toLowerCase()
  const rest = name ? plain.toLowerCase().replaceAll(name, '') : plain
  return [
    { text: `${LENGTH_MIN} characters or more`, met: [...plain].length >= LENGTH_MIN },
    { text: 'not just your username', met: plain !== '' && rest !== '' },
  ]
}
