"""The demo: a whole deployment, a fleet of Calico pods, attackers, and their results.

In reading order: `options` (the command line), `story` (the steps), `verify` (checks certificates with openssl),
`view` (the output), `summary` (the figures).
"""
