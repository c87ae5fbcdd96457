"""Behaviours of S3 that the lease, the shard records, and Lance's own commits rely on, checked on moto and, in the
slow run, on Ceph.

`lloco doctor` checks the same conditional write on the store a deployment really has.
"""

import threading

import boto3
import lance
import pyarrow as pa
import pytest
from botocore.exceptions import ClientError
from lance.fragment import write_fragments

from lloco_core.settings import lance_storage_options
from tests.conftest import BUCKET


def status(call, **arguments):
    try:
        return call(Bucket=BUCKET, **arguments)["ResponseMetadata"]["HTTPStatusCode"]
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]


def test_a_conditional_put_is_accepted_once(s3):
    assert status(s3.put_object, Key="once", Body=b"1", IfNoneMatch="*") == 200
    assert status(s3.put_object, Key="once", Body=b"2", IfNoneMatch="*") == 412
    assert s3.get_object(Bucket=BUCKET, Key="once")["Body"].read() == b"1"
    s3.delete_object(Bucket=BUCKET, Key="once")
    assert status(s3.put_object, Key="once", Body=b"3", IfNoneMatch="*") == 200


def test_of_many_conditional_puts_one_wins(s3):
    ready, answers = threading.Barrier(8), []

    def put(number):
        ready.wait()
        answers.append(status(s3.put_object, Key="race-of-puts", Body=b"%d" % number, IfNoneMatch="*"))

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, *[412] * 7]


def test_listing_sees_every_write_in_key_order(s3):
    for key in ("l/2", "l/10", "l/1"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"")
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET, Prefix="l/")["Contents"]] == ["l/1", "l/10", "l/2"]


@pytest.mark.parametrize(("key", "code"), [("missing", "NoSuchKey")])
def test_missing_objects_have_a_code(s3, key, code):
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=BUCKET, Key=key)
    assert caught.value.response["Error"]["Code"] == code
    assert status(s3.head_object, Key=key) == 404


def test_concurrent_lance_appends_all_arrive(s3):
    """Lance's own commits are conditional PUTs; those who lose a version number rebase and try the next."""
    options, uri = lance_storage_options(), f"s3://{BUCKET}/appends.lance"
    schema = pa.schema([pa.field("id", pa.int64())])
    lance.write_dataset(schema.empty_table(), uri, schema=schema, mode="create", storage_options=options)
    ready = threading.Barrier(4)

    def append(number):
        ready.wait()
        for round_number in range(2):
            rows = pa.table({"id": [10 * number + round_number]}, schema=schema)
            fragments = write_fragments(rows, uri, schema=schema, mode="append", storage_options=options)
            dataset = lance.dataset(uri, storage_options=options)
            transaction = lance.Transaction(read_version=dataset.version, operation=lance.LanceOperation.Append(fragments))
            lance.LanceDataset.commit(dataset, transaction, storage_options=options)

    threads = [threading.Thread(target=append, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    dataset = lance.dataset(uri, storage_options=options)
    assert sorted(dataset.to_table()["id"].to_pylist()) == [0, 1, 10, 11, 20, 21, 30, 31]
    assert dataset.version == 9


def test_the_endpoint_is_read_from_the_environment(s3):
    assert boto3.client("s3", region_name="us-east-1").meta.endpoint_url == s3.meta.endpoint_url
    assert lance_storage_options()["endpoint"] == s3.meta.endpoint_url
    assert lance_storage_options()["allow_http"] == "true"
