"""The embedded directory's people, for organisations without a directory of their own.

Everything here runs in the container of `ldap`, on its socket, where the service's own user needs no password; the
commands pass it on from the host. One command at a time: who looks whether an address is free and takes it then must
not be overtaken. What a person types is looked at in `words` and is quoted wherever it becomes part of a filter or a
name.
"""
