"""The exporter: watches CertificateSigningRequests of configured signerNames and tells the function about each.

It is trusted with nothing: an event only says which CSR to look at. Its one duty is to lose none. In the order in which
a CSR passes them:

configuration, document    the configuration document
api_server, page, status,
json_fields, json_lines    pages of a list, and a watch, bounded in bytes; their errors
csr                        the API object, reduced to a reference and a stage
reader                     list, watch from there, list again: the loop that keeps the work in step
relist, audit, resync      a list beside the watch, every ten minutes, that proves that nothing was missed
work, entry                what is still to be done for which CSR. Pure, as the next four lines are: time is an argument
room                       how many CSRs are held, of one requester and of all
turns, budget, replicas    whose turn a new CSR is, among requesters and among exporters
schedule, retry            when what was tried before is due again
handout, pace, circuit     how much at once, and when nothing is sent at all
dispatcher, crew           the lock around them, and the threads that deliver what is due
event, delivery, answer    the CloudEvent, its way to the function, and what the answer means
identity, google           the ID token: kept, and obtained
exporter, health           which threads there are; probes and the page of the metrics
tally, report              what happened, and how things are, for
metrics, log               counters and gauges, and one JSON line per change of state
connection, backoff, clock HTTP, waits and time for all of them
"""

VERSION = "0.1.0"
