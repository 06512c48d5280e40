"""The measurements of `scripts/bench` on a whole deployment, one module each; they share `common`."""
