"""Train a context encoder: from a language model or an encoder, and text, to an encoder that `load_encoder` reads.

`python -m flows.train_encoder --config examples/train_encoder.yaml` runs it in this process; the deployment
`train-encoder/train-encoder` runs the same flow.
"""

from __future__ import annotations

from prefect import flow

from flows.command import run_command
from lloco_core.encoder_training.record import TrainingRecord
from lloco_core.encoder_training.run import EncoderRunConfig
from tasks import train_encoder as steps


@flow(name="train-encoder", validate_parameters=True)
def train_encoder(config: EncoderRunConfig) -> TrainingRecord:
    """Train, export, report. Equal inputs go on where an earlier run ended; a finished run hands its encoder out again."""
    from lloco_core.distributed.session import ray_session

    with ray_session(config.cluster):
        record, curve = steps.train(config)
    steps.publish_report(record, curve)
    return record


def main() -> None:
    """Train an encoder from the command line and print what came out."""
    from lloco_core.observe.terminal import print_pairs

    run_command(
        train_encoder,
        EncoderRunConfig,
        lambda record: print_pairs("Encoder training", record.rows()),
        "tokens and the last checkpoint are kept; run the same command again to go on from there",
    )


if __name__ == "__main__":
    main()
