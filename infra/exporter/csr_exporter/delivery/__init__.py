"""The way of an event to the function: the dispatcher, the limiter, the sender and the CloudEvent itself.

Belongs here: when an event may be sent, by which thread, in which bytes, and what the answers say of the function. Does
not: the order of the CSRs.
"""
