"""What backs up does: dumps, the archive, media, keys; and what is stored is readable to nobody else."""

import re

from harness import eventually, together

from conftest import FIRST_BUCKET, SECOND_BUCKET

SAID = "a word that only this room knows"


def says(home, text, room=None):
    """Alice says something; the room."""

    async def scenario():
        alice = await home.client("alice")
        where = room or (await alice.room_create()).room_id
        sent = await alice.room_send(where, "m.room.message", {"msgtype": "m.text", "body": text})
        await alice.close()
        return where, sent.event_id

    (found,) = together(scenario())
    return found


def test_a_dump_is_made_and_read_back(tenant):
    says(tenant.home, SAID)
    phase, log = tenant.job("dump")
    assert phase == "Succeeded", log
    assert "dump: done, and read back" in log


def test_the_archive_has_a_base_backup_and_goes_on(tenant):
    eventually(lambda: "base: a full backup is done" in tenant.log("postgresql", "backup"), 90)
    before = int(tenant.sql("SELECT archived_count FROM pg_stat_archiver"))
    says(tenant.home, "one more")
    eventually(lambda: int(tenant.sql("SELECT archived_count FROM pg_stat_archiver")) > before, 30)
    assert tenant.sql("SELECT failed_count FROM pg_stat_archiver WHERE last_failed_time > last_archived_time") == ""


def test_keys_are_in_two_places(tenant):
    eventually(lambda: "is in the second place" in tenant.log("synapse", "backup"), 60)


def test_damaged_keys_are_kept_anew(tenant, second_store):
    """In one place, by a bit: what recipients would find is looked at, and it is whole again by itself."""

    def newest():
        return max(key for key in second_store.keys(SECOND_BUCKET) if key.endswith(".tar.age"))

    client, key = second_store.client, newest()
    content = bytearray(client.get_object(Bucket=SECOND_BUCKET, Key=key)["Body"].read())
    content[-1] ^= 1
    client.put_object(Bucket=SECOND_BUCKET, Key=key, Body=bytes(content))
    eventually(lambda: "in the second place is damaged; another copy is made" in tenant.log("synapse", "backup"), 60)
    eventually(lambda: newest() > key, 30)


def test_media_is_backed_up(tenant):
    home = tenant.home

    async def scenario():
        alice = await home.client("alice")
        token = alice.access_token
        await alice.close()
        return token

    (token,) = together(scenario())
    answer = home.http().post(
        f"{home.url}/_matrix/media/v3/upload", headers={"Authorization": f"Bearer {token}"}, data=SAID * 100, timeout=20
    )
    assert answer.ok, answer.text
    eventually(lambda: "media: backed up" in tenant.log("synapse", "backup"), 60)


def test_all_of_it_is_verified(tenant):
    phase, log = tenant.job("verify")
    assert phase == "Succeeded", log


def test_a_drill_restores_it_all(tenant):
    phase, log = tenant.job("drill", 240)
    assert phase == "Succeeded", log
    for what in ("dump", "archive"):
        assert re.search(rf"{what}: schema \d+, [1-9]\d* users, [1-9]\d* rooms, [1-9]\d* events", log), log


def test_nothing_readable_is_stored(store, second_store):
    words = (SAID.encode(), b"m.room.message", b"alice", b"ed25519")
    found = []
    for place, bucket in ((store, FIRST_BUCKET), (second_store, SECOND_BUCKET)):
        stored = place.keys(bucket)
        assert stored, bucket
        for key in stored:
            try:
                content = place.client.get_object(Bucket=bucket, Key=key)["Body"].read()
            except place.client.exceptions.NoSuchKey:
                # A lock, or what was pruned meanwhile.
                continue
            found += [(key, word) for word in words if word in content]
    assert not found
