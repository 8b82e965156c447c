"""One run: built from its options, conducted from the first account to the verdict, acted by workers."""
