"""A night whose closing questions fail, in a real flow."""

from prefect import flow

import lloco_core.distributed.closing as distributed
from lloco_core.config import NightlyConfig
from lloco_core.errors import StorageError
from tasks import closing as tasks


def test_a_failure_of_the_closing_questions_is_a_line_and_the_flow_goes_on(prefect_server, monkeypatch):
    calls = []

    def fail(config, night):
        calls.append(night)
        raise StorageError("closing.file is gone")

    monkeypatch.setattr(distributed, "ask_closing_questions", fail)
    monkeypatch.setattr(tasks, "ask_closing_questions", tasks.ask_closing_questions.with_options(retry_delay_seconds=0))
    config = NightlyConfig.model_validate({"corpus": {"uri": "c"}, "store": {"uri": "s"}, "closing": {"count": 1}})

    @flow
    def night():
        return tasks.closing_answers(config, "night-1")

    assert night() == [{"question": "closing questions", "failure": "StorageError: closing.file is gone"}]
    assert calls == ["night-1", "night-1"]
