"""Speed and memory of the embedded system, measured from outside. Never part of the tests."""
