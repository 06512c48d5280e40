"""The exporter: watches CertificateSigningRequests of configured signerNames and tells the function about each.

It is trusted with nothing: an event only says which CSR to look at. Its one duty is to lose none. A CSR passes the
packages in this order:

watch      the API server's lists and watches
queue      which CSR is next; pure, with time as an argument
delivery   how many events are in flight, and the event's way to the function

Belongs at the top: what all packages share (configuration, HTTP, time, log, metrics, the CSR as it is kept), the ID
token, the health pages, and `exporter`, which starts the threads. Does not: decisions about a CSR or an event.
"""

VERSION = "0.2.0"
