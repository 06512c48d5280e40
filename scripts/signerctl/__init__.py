"""The operator's command line: what a person does with the issuing CA.

It follows the function's rules and uses its code.
"""
