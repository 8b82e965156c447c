"""The simulation harness: many virtual users over the public SDK, faults, and a ledger of every message.

The way of the data: a scenario (`scenarios/`) draws a plan of acts from the seed (`workload`), workers
(`worker`) let their people (`person`, `phone`) act it out and write what happened into the ledger,
`conductor` starts the system, strikes it with faults and ends the run, `checker` judges, `report` shows.
"""
