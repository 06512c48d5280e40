"""`signerctl doctor`: the walk from the configuration to the cluster's guards.

`walk` lists all checks in their order. Each other module holds the checks of one area, and `examination` what they
share. A check reports one `Result`; it prints nothing, and it changes nothing.
"""
