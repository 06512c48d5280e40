"""Every issuer algorithm, for every key and hash of a request, under every stack that verifies certificates.

`scripts/python -m development.matrix` prints it as a table. In reading order: `requesters` (what is asked for),
`authorities` and `corporate` (who signs: a CA on a KMS key for each algorithm), `certificates` (one request judged,
built, linted and signed as the function does), `controls` (what no stack may accept), `questions` (both as files),
`stacks` with `openssl` and `process` (who answers; our programs for them are in `programs/`), `run` (all of it once)
and `table` (what came of it).
"""
