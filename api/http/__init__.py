"""HTTP concerns that all routes share: schemas, middleware, errors, dependencies."""
