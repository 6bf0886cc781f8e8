"""Refusals of our access lists in plain words, with the settings behind them."""

from __future__ import annotations

from entrypoint.explain.exim import Reply

Meaning = tuple[str, tuple[str, ...]]  # why, and the variables

# The list (its name's beginning), words of the answer, and what they mean.
_MEANINGS: tuple[tuple[str, str, Meaning], ...] = (
    ("acl_helo", "own name", ("the other side says our own name", ("EXIM_EXTERNAL_HOST",))),
    ("acl_mx", "Relaying", ("the domain is none of ours", ("EXIM_LOCAL_DOMAINS",))),
    ("acl_relay", "Relaying", ("the client may not relay", ("EXIM_RELAY_HOSTS", "EXIM_WHITELIST_NET"))),
    ("acl", "Not a usable address", ("the local part has a sign that other systems take for a route or a file", ())),
    ("acl", "Unknown recipient", ("no member has this address", ("EXIM_LDAP_USER_FILTER",))),
    ("acl", "mailbox is full", ("imap takes no more for it", ("LDAP_QUOTA_ATTRIBUTE", "MAILBOX_SIZE_LIMIT"))),
    ("acl_submission", "Log in first", ("it is for those who have logged in", ())),
    (
        "acl_submission",
        "not one of your addresses",
        ("the directory has no such address for it", ("SPOOF_PROTECTION",)),
    ),
    ("acl_submission", "only to members", ("who may send to the world is asked", ("EXIM_PUBLIC_LDAP_USER_FILTER",))),
)


def meaning(reply: Reply) -> Meaning:
    """Why an answer was given; nothing where it speaks for itself."""
    for acl, words, found in _MEANINGS:
        if reply.acl.startswith(acl) and words in reply.text:
            return found
    if reply.put_off:
        return "the directory or DNS does not answer; senders try again", ("LDAP_HOSTS",)
    return "", ()


def told(reply: Reply) -> str:
    """The answer, why, and which rule has said so."""
    why = meaning(reply)[0]
    at = "" if reply.stage == "RCPT TO" else f" to {reply.stage}"
    return f'"{reply}"{at}{f": {why}" if why else ""} ({reply.rule})'
