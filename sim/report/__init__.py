"""The report of a run: a live screen while it goes on (`live`), then a page and its `figures`."""
