"""What `scripts/bench` measures on a whole deployment, one module each; `common` is what they share."""
