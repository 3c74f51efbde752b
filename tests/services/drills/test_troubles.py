"""What goes wrong with backups: each says so clearly, loses nothing, and backups go on by themselves."""

import signal
import time

import pytest
from harness import eventually, secret
from test_restore import archived

from conftest import FIRST_BUCKET, TENANT

DATA = f"data-{TENANT}-postgresql-0"


def base_is_there(tenant):
    eventually(lambda: "base: a full backup is done" in tenant.log("postgresql", "backup"), 90)


def dumps(tenant):
    phase, log = tenant.job("dump")
    assert phase == "Succeeded", log


def made(tenant, table):
    """A table as Synapse has them: whoever dumps may read what is Synapse's, and nothing else."""
    tenant.sql(f"SET ROLE synapse; CREATE TABLE {table}")


def archived_count(tenant):
    return int(tenant.sql("SELECT archived_count FROM pg_stat_archiver"))


def test_the_bucket_is_away_for_a_while(tenant):
    """Messages are taken meanwhile, and their log is archived afterwards without anybody's help."""
    base_is_there(tenant)
    before = archived_count(tenant)
    with tenant.store.away():
        made(tenant, "away AS SELECT generate_series(1, 1000)")
        waiting = tenant.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")
        tenant.sql("SELECT pg_switch_wal()")
        # A segment is given up after a minute, and the archiver may be at another.
        eventually(lambda: tenant.sql("SELECT failed_count > 0 FROM pg_stat_archiver") == "t", 150)
        run, finish = tenant.begun("verify")
        eventually(lambda: "keys: not in the first place" in run.main[0].log.read_text(), 120)
        finish()
    eventually(lambda: tenant.sql("SELECT last_archived_wal FROM pg_stat_archiver") >= waiting, 120)
    assert archived_count(tenant) > before


def test_a_dump_that_is_killed_does_not_count(tenant):
    """Killed in the middle: the next one removes what it left, and counts."""
    dumps(tenant)
    made(tenant, "large AS SELECT repeat(md5(n::text), 100) FROM generate_series(1, 200000) n")
    run, finish = tenant.begun("dump")
    eventually(
        lambda: tenant.sql("SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'dump'") == "t", 60
    )
    time.sleep(1)
    run.main[0].process.signal(signal.SIGKILL)
    eventually(lambda: run.phase == "Failed", 30)
    finish()
    tenant.sql("DROP TABLE large")
    # restic takes the lock of one that is gone for dead after half an hour; here that is now.
    for key in tenant.store.keys(FIRST_BUCKET):
        if "/database/locks/" in key:
            tenant.store.client.delete_object(Bucket=FIRST_BUCKET, Key=key)
    dumps(tenant)
    phase, log = tenant.job("drill", 240)
    assert phase == "Succeeded", log


def test_a_wrong_passphrase_is_told(tenant):
    """Nothing is written with it, and nothing that is there is touched."""
    right = tenant.node.objects.need("Secret", TENANT, f"{TENANT}-backup-key-1")
    keys = tenant.store.keys(FIRST_BUCKET)
    tenant.node.objects.add(secret(TENANT, f"{TENANT}-backup-key-1", {"passphrase": "wrong"}))
    phase, log = tenant.job("dump")
    assert phase == "Failed" and "wrong password or no key found" in log
    tenant.node.objects.add(right)
    dumped = [key for key in tenant.store.keys(FIRST_BUCKET) if "/database/" in key]
    assert dumped == [key for key in keys if "/database/" in key]


def test_a_damaged_backup_is_told(tenant):
    """A bit of what is stored is another: verify and drill refuse it, and the next dump is whole."""
    dumps(tenant)
    client = tenant.store.client
    packs = [key for key in tenant.store.keys(FIRST_BUCKET) if "/database/data/" in key]
    kept = {}
    for key in packs:
        content = client.get_object(Bucket=FIRST_BUCKET, Key=key)["Body"].read()
        kept[key] = content
        client.put_object(Bucket=FIRST_BUCKET, Key=key, Body=content[: len(content) // 2])
    try:
        phase, log = tenant.job("drill", 240)
        assert phase == "Failed", log
        assert "dump:" not in log, "nothing was restored from it"
        phase, log = tenant.job("verify", 240)
        assert phase == "Failed" and "dump: what is stored is damaged" in log, log
    finally:
        for key, content in kept.items():
            client.put_object(Bucket=FIRST_BUCKET, Key=key, Body=content)
    # Media may not have been backed up yet: that is done by the clock, also where there is none.
    eventually(lambda: tenant.job("verify")[0] == "Succeeded", 120)


def test_a_missing_segment_is_told(tenant):
    """A restore past a gap in the log stops and says so: what was there before is kept."""
    base_is_there(tenant)
    made(tenant, "gap AS SELECT generate_series(1, 1000)")
    missing = tenant.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")
    tenant.sql("SELECT pg_switch_wal()")
    eventually(lambda: tenant.sql("SELECT last_archived_wal FROM pg_stat_archiver") >= missing, 60)
    client = tenant.store.client
    (key,) = [key for key in tenant.store.keys(FIRST_BUCKET) if f"/{missing}-" in key]
    content = client.get_object(Bucket=FIRST_BUCKET, Key=key)["Body"].read()
    time.sleep(1.1)
    moment = tenant.sql("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
    tenant.sql("DROP TABLE gap")
    later = tenant.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")
    tenant.sql("SELECT pg_switch_wal()")
    eventually(lambda: tenant.sql("SELECT last_archived_wal FROM pg_stat_archiver") >= later, 60)
    client.delete_object(Bucket=FIRST_BUCKET, Key=key)
    tenant.synced(tenant.compiled(state="stopped"))
    folder = tenant.compiled(state="stopped", restore=f'{{name: gap, until: "{moment}"}}')
    with pytest.raises(Exception, match="recovery ended before configured recovery target was reached"):
        tenant.synced(folder, 45)
    # The segment is found again, and another name brings it all back. The restore that failed tries on for as long as
    # its Pod is there, and would end on a timeline of its own.
    tenant.lost()
    client.put_object(Bucket=FIRST_BUCKET, Key=key, Body=content)
    tenant.synced(tenant.compiled(state="stopped", restore=f'{{name: found, until: "{moment}"}}'), 240)
    assert tenant.sql("SELECT count(*) FROM gap") == "1000"
    tenant.synced(tenant.compiled())


def test_an_empty_volume_begins_no_new_server(tenant):
    """A claim that was lost: PostgreSQL does not start without data where there is an archive of it."""
    base_is_there(tenant)
    made(tenant, "kept AS SELECT 1 AS one")
    archived(tenant)
    tenant.lost(DATA)
    with pytest.raises(Exception, match="the volume is empty and there is an archive of this tenant's server"):
        tenant.synced(tenant.compiled(), 45)
    assert not (tenant.claim(DATA) / "data").exists()
    tenant.synced(tenant.compiled(state="stopped", restore="{name: emptied}"), 240)
    assert tenant.sql("SELECT one FROM kept") == "1"
    tenant.synced(tenant.compiled())


def test_a_disk_that_is_full_is_told(tenant):
    """Of a drill: it says what is missing, and nothing else is touched."""
    phase, log = tenant.job("drill", 240, scratch="24Mi")
    assert phase == "Failed" and "No space left on device" in log, log
    dumps(tenant)
