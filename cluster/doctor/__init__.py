"""``roost doctor``: is everything as the settings say, and if not, what is to be done.

`here` looks at this machine, `servers` judges what Kafka, MongoDB and Redis say of themselves, `running`
asks a system that runs, `exposure` finds who listens where; `visit` calls them all, `verb` prints.
Nothing is changed by it, but for one document in MongoDB that is written and removed.
"""
