"""Steps that make a machine ready: each does nothing where its work is done already."""
