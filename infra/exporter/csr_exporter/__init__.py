"""The exporter: watches CertificateSigningRequests of configured signerNames and tells the function about each.

It is trusted with nothing: an event only says which CSR to look at. Its one duty is to lose none. In the order in which
a CSR passes them:

configuration, document    the configuration document
api_server, status,
json_lines                 pages of a list, and a watch, bounded in bytes; their errors
csr                        the API object, reduced to a reference and a stage
reader                     list, watch from there, list again: the loop that keeps the work in step
relist, audit              a list beside the watch, every ten minutes, that proves that nothing was missed
work, pace                 what is due and when; how much at once. Pure: time is an argument
dispatcher                 the lock around them, and the loop that hands out what is due
event, delivery, answer    the CloudEvent, its way to the function, and what the answer means
identity, google           the ID token: kept, and obtained
exporter, health, log      threads, probes, one JSON line per change of state
connection, backoff, clock HTTP, waits and time for all of them
"""
