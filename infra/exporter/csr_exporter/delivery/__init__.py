"""The way of an event to the function: the dispatcher, the limiter, the sender and the CloudEvent itself.

Belongs here: when an event may be sent, by which thread, and in which bytes. Does not: which CSR is next.
"""
