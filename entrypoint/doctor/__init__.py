"""What is wrong around the mail system, where no container of it can look: DNS, an older `.env`, the directory, TLS.

The doctor runs on the host, changes nothing, and tells what is there, what should be, and the cure.
"""
