"""Bodies of requests and answers, with an example each. Unknown fields are ignored; types are strict."""
