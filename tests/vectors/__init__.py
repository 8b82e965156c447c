"""Vectors that the web client's core is tested with, written from the Python client's.

    python -m tests.vectors          writes api/web/client/test/vectors/*.json
    python -m tests.vectors --check  says which of the committed ones differ

Seeds are fixed, so that the same code writes the same bytes.
"""
