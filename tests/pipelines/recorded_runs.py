"""What a real KFP answered for runs, and what it would have answered on the way, from the states' times."""

import copy
import json
from pathlib import Path
from typing import Any

Answer = dict[str, Any]
FOLDER = Path(__file__).parent / "recorded"
PACKAGE = FOLDER / "package.yaml"
BEGINNING = "0001-01-01T00:00:00Z"


def recorded(name: str) -> Answer:
    answer: Answer = json.loads((FOLDER / f"{name}.json").read_text())
    return answer


def on_the_way(name: str) -> list[Answer]:
    """An answer for each moment at which a state changed, and the recorded one at the end."""
    end = recorded(name)
    rows = end["run_details"]["task_details"]
    moments = {entry["update_time"] for one in (end, *rows) for entry in one["state_history"]}
    return [*(_at(end, moment) for moment in sorted(moments)), end]


def _at(end: Answer, moment: str) -> Answer:
    answer = copy.deepcopy(end)
    answer["state_history"] = _until(end, moment)
    answer["state"] = (answer["state_history"] or [{"state": "PENDING"}])[-1]["state"]
    rows = [row for row in answer["run_details"]["task_details"] if _until(row, moment)]
    for row in rows:
        if row["display_name"] == "executor":
            count = sum(moment >= _start_of_try(end, row, number) for number in range(len(row["child_tasks"])))
            row["child_tasks"] = row["child_tasks"][:count]
        row["state_history"] = _until(row, moment)
        row["state"] = row["state_history"][-1].get("state")
        if row["end_time"] > moment:
            row["end_time"] = BEGINNING
    answer["run_details"]["task_details"] = rows
    return answer


def _until(one: Answer, moment: str) -> list[Answer]:
    return [entry for entry in one["state_history"] if entry["update_time"] <= moment]


def _start_of_try(end: Answer, group: Answer, number: int) -> str:
    """The first state of a group's try: the one of its number whose end is the nearest before that of the group."""
    if number == 0:
        return str(group["start_time"])
    tries = [
        row
        for row in end["run_details"]["task_details"]
        if row["display_name"] == f"executor({number})" and row["end_time"] <= group["end_time"]
    ]
    return str(max(tries, key=lambda row: row["end_time"])["state_history"][0]["update_time"])
