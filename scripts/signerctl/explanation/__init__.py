"""`signerctl explain`: why a pod or a CSR waits, or was refused.

`lookup` finds the CSRs of a name. `trial` runs the function's own pipeline on a CSR, with ports that only read.
`verdict` says what the trial and the CSR's state mean, and `story` adds what the cluster and the records tell.
`unfiled` explains a pod that has filed no CSR. `remedies` says what to do about a refusal.
"""
