"""The operator's command line: what a person does with the issuing CA.

It follows the function's rules and uses its code. In reading order: `commands` (what can be asked for, one module for
each), `options`, `program`, `text` and `files` (how it is asked, and answered), `key` and `records` (the KMS key, and
what is recorded of its use), `ca_certificate`, `cross_certificate`, `certification_request`, `ca_extensions` and
`ca_lint` (what is signed, and the check of it), `answer`, `trust`, `installation`, `findings` and `description` (what
certificates say).
"""
