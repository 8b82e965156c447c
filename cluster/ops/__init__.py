"""What operators are shown live: figures with their history, the line of events, alarms."""
