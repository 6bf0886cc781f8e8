"""The demo: a complete mail system on this machine, with a directory and an outside world of its own.

Built of parts that the stack tests use as well: a world (world), the compose project that runs in it (stack), and
clients for its mail (mail).
"""
