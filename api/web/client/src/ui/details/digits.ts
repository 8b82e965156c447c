/** The sixty digits as people read them to each other: twelve groups of five. */
export function groups(digits: string): string[] {
  return digits.replace(/\D/g, '').match(/.{1,5}/g) ?? []
}
