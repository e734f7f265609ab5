"""A second decoder, from bytes to integers, in plain Python: written from SPEC.md, slow, and without dependencies."""
