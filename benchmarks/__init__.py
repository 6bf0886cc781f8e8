"""What Postern costs, beside something known that is measured in the same run.

A number alone tells of the machine. So each of ours has a reference; both are measured in turn, run by run, and what
counts is the ratio of the medians.
"""
