"""What developers and CI run: locks, checks, tests."""
