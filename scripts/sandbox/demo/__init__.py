"""The demonstration: a whole deployment, a fleet of Calico pods, attackers, and what became of them all.

In reading order: `options` (the command line), `story` (what happens), `verify` (certificates, by the openssl program),
`view` (how it is shown), `summary` (what it comes to).
"""
