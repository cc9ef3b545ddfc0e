"""The sandbox: a pretend identity provider, Exec API and Scenario Studio, in a process of its own.

It knows nothing of the portal but its addresses, imports nothing of it, and can be deleted as one folder.
"""
