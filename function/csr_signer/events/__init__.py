"""What comes in and what is answered: the exporter's event as a reference to a CSR, and the outcome as an HTTP answer.

Nothing here knows how a CSR is judged or signed.
"""
