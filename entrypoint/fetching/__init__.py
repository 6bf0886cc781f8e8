"""Mail from mailboxes at other providers: a round over all of them (`__main__`), and the way in of each message.

fetchmail speaks with the providers, and hands each message to `deliver`. It removes a message there, or takes it for
seen, only when `deliver` has ended with 0: when the mail store has acknowledged it. Whatever goes wrong before, the
message is at the provider still, and comes with the next round; at worst one comes twice.
"""
