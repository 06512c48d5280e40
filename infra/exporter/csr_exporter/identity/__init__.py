"""Who the exporter is to the function: a Google ID token, fetched and cached.

Belongs here: how a token is obtained and when it is renewed. Does not: the API server's token.
"""
