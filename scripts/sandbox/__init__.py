"""A whole deployment on one machine, with a working double of every service that the signer calls."""
