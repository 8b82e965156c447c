"""Everything that runs servers and Ray on one machine."""
