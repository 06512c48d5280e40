"""`scripts/acceptance`: proves on a real cluster what one machine cannot show.

In reading order: `options` (the command line), `report` (checks, their lines and the report file), `throwaway` (a
signer of its own for the run), `deployed` (the deployed signer), `journey` (a pod's way to its certificate), `issued`
(checks of a CSR with its certificate), `attack` (hostile CSRs), `removal` (deletes what the run created).
"""
