"""One module a service, named as in the compose file; `_NAME` modules are shared by several."""
