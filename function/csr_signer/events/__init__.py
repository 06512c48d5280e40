"""Events and answers: parses the exporter's event into a reference to a CSR, and turns an outcome into an HTTP answer.

This package does not judge or sign CSRs.
"""
