"""``roost doctor``: is everything as the settings say, and if not, what is to be done.

`here` looks at this machine, `servers` judges what Kafka, MongoDB and Redis say of themselves, `running`
asks a system that runs, `exposure` finds who listens where; `visit` calls them all, for `cluster.cli.doctor`.
Nothing is changed by it, but for one document in MongoDB that is written and removed. `start` has the checks
that `roost up` does not start without.
"""
