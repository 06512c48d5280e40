"""What the API server shows: its lists and watches, and the loops that keep the work queue in step with them.

Belongs here: the API client, its JSON, reflector, resync and store. Does not: when and how an event is sent.
"""
