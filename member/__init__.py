"""`sealroute-member`: records encrypted sessions for their customer, as one of their members.

It runs where the customer trusts the machine, and holds the secret. The server tells it what to
record and is told what became of it; it never gets media, a file or anything made of the secret.
"""
