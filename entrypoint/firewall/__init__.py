"""Firewall rules for the ports that the host publishes: what `entrypoint firewall` prints, for a person to load.

Docker sends what comes to a published port straight to the container, past the rules that a firewall has for the host
itself (chain INPUT; ufw's too). So these rules are where forwarded packets pass. They are about one thing alone, new
connections from outside into the mail network: to a published port they may go on, all others are dropped. What is for
the host itself, ssh above all, for other containers, or on its way out meets none of them.
"""

from __future__ import annotations
