"""What surrounds every role: a fence, its metrics on the scrape target, the closing of its connections."""
