"""The demo: a whole deployment, a fleet of Calico pods, attackers, and their results.

In reading order: `program` (from the command line to the exit status), `options` (the command line), `interrupt`
(signals), `run` (one run and its errors), `story` (the steps), `verify` (checks certificates with openssl),
`key_pairs` (Goldmane and Whisker), `clients` (what `--serve` offers), `view` and `live_view` (the output), `summary`
(the figures).
"""
