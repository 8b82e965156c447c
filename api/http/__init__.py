"""What all routes share: schemas, middleware, errors, dependencies."""
