"""A whole deployment on one machine: every part that the signer talks to, as a working double of it."""
