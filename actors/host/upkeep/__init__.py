"""What a host does for its users in the background: erasing accounts, sweeping old entries."""
