"""Shows a run: a live screen while it goes on (`live`), then a page (`page`) and its figures (`figures`)."""
