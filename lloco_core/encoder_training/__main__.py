"""Train a context encoder on this machine: `python -m lloco_core.encoder_training --config FILE`.

The options are those of `python -m flows.train_encoder`, which trains on a cluster.
"""

from __future__ import annotations

import json
import sys

from lloco_core.command_line import one_line_errors
from lloco_core.encoder_training.machine import train_on_this_machine
from lloco_core.encoder_training.rank import Line
from lloco_core.encoder_training.run import EncoderRunConfig
from lloco_core.observe.terminal import print_pairs
from lloco_core.options import parse_options
from lloco_core.training.engine import is_first_rank

STEPS_PER_LINE = 10


def print_step(line: Line) -> None:
    """Every tenth step, and every measurement."""
    measured = {name: value for name, value in line.get("validation", {}).items() if name != "intervals"}
    if measured or line["step"] % STEPS_PER_LINE == 0:
        shown = {name: line[name] for name in ("step", "loss", "curves", "tokens", "seconds")}
        sys.stdout.write(json.dumps(shown | ({"validation": measured} if measured else {})) + "\n")
        sys.stdout.flush()


def main() -> None:
    """Train an encoder from the command line and print what came out."""
    with one_line_errors():
        record, _ = train_on_this_machine(parse_options(model=EncoderRunConfig), print_step)
        if is_first_rank():
            print_pairs("Encoder training", record.rows())


if __name__ == "__main__":
    main()
