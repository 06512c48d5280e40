"""Which CSR is next: the work queue, its fairness among requesters, its retry policy and its share among replicas.

Belongs here: pure decisions, with time as an argument. Does not: I/O, threads, or how many events are in flight.
"""
