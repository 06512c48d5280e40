"""Commands for developers and CI: locks, checks, tests, measurements."""
