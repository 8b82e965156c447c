"""The path of a send: checked, admitted, written to the log, numbered, answered."""
