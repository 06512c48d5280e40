"""Breakdowns of a deployment: what fails, what an operator sees, the cause and the remedy.

In reading order: `row` (the form of a breakdown), `table` (all breakdowns), `injections` (how to break a deployment in
the sandbox, and to mend it), `requests` (pods that ask meanwhile), `observations` (what an operator's tools say).

The table is the only source: docs/troubleshooting.md is generated from it, and a test injects each row into a real
deployment and compares what the tools say.
"""
