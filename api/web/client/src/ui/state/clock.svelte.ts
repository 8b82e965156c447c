/** The time of the page, good to the minute: enough for "5 minutes ago" and the names of days. */

class Minutes {
  now = $state(Date.now())

  constructor() {
    setInterval(() => {
      this.now = Date.now()
    }, 30_000)
  }
}

export const minutes = new Minutes()
