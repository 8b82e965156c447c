"""What pages for operators are shown live by one gateway."""
