"""Files of archives in object stores of other makes: in parts, whole, and what fails is named."""

import asyncio
from dataclasses import replace

import pytest

from sfu.egress.buckets import UploadJob
from sfu.egress.uploads import Uploader, UploadError
from tests.buckets import AZURITE, MOTO, S3, Azure, needs, noise

pytest.importorskip("obstore", reason="make installs it: pip install sealroute[egress]")
pytestmark = pytest.mark.interop
LOOPBACK = "127.0.0.0/8"
SIZE = 20_000_000


async def failure_of(job):
    with pytest.raises(UploadError) as failed:
        await Uploader().upload(job)
    return failed.value.code


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(S3, marks=needs(MOTO)),
        pytest.param(Azure, marks=[needs(AZURITE), pytest.mark.long]),
    ],
)
async def test_a_file_is_in_the_bucket_byte_for_byte_and_what_fails_is_named(tmp_path, kind):
    file = await asyncio.to_thread(noise, tmp_path, SIZE)
    async with kind.running(tmp_path) as store:
        job = UploadJob(store.bucket, "1234567/an-id/archive.mp4", str(file), SIZE, LOOPBACK)
        await Uploader().upload(job)
        content = await asyncio.to_thread(store.content, job.key)
        assert content == await asyncio.to_thread(file.read_bytes)
        assert await failure_of(replace(job, allowed_networks="")) == "address_refused"
        elsewhere = replace(store.bucket, name="no-such-bucket")
        assert await failure_of(replace(job, bucket=elsewhere)) == "no_bucket"
        (link := tmp_path / "link").symlink_to(file)
        for other in (tmp_path / "none", link, tmp_path):
            assert await failure_of(replace(job, file=str(other))) == "file_missing"
    assert await failure_of(job) == "unreachable"
