"""Users, devices and sessions: authentication, limits, and the directory of users."""
