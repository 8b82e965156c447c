"""The coordinator: the map, the watch over the log, the stop of everything."""
