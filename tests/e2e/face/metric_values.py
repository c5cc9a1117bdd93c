"""The same small workload on a real etcd and on ours: what it counts must be the same on both.

Compared are differences between two scrapes, one before and one after the workload, so that what
each did at its start does not matter. A value that depends on time, on the disk's layout or on how
many requests share one sync has no place here: see MAY_DIFFER.
"""

import base64
import json
import subprocess
import time
import urllib.error
import urllib.request

# name (a prefix) -> why the two need not agree.
MAY_DIFFER = {
    "etcd_disk_wal_fsync_duration_seconds": "one sync for many entries, or one each",
    "etcd_disk_wal_write_duration_seconds": "as syncs",
    "etcd_disk_wal_write_bytes_total": "another format",
    "etcd_disk_backend_commit_duration_seconds": "how often the engine commits is its own affair",
    "etcd_debugging_disk_backend_commit_": "as commits",
    "etcd_mvcc_db_total_size": "another format",
    "etcd_mvcc_db_open_read_transactions": "at the moment of the scrape",
    "etcd_network_client_grpc_": "header ids and terms are varints of different length",
    "etcd_debugging_mvcc_db_compaction_last": "a time",
    "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds": "steps of another size",
    "etcd_debugging_mvcc_pending_events_total": "at the moment of the scrape",
    "etcd_debugging_server_watch_send_loop_": "events that share a response",
    "etcd_server_proposals_pending": "at the moment of the scrape",
    "etcd_server_heartbeat_send_failures_total": "a slow disk",
    "etcd_server_slow_": "a slow disk",
    "etcd_server_snapshot_apply": "a moment",
    "etcd_debugging_snap_": "ours keeps no .snap files",
    "etcd_snap_": "ours keeps no .snap files",
    "etcd_debugging_store_": "the v2 store, which ours has not",
    "etcd_network_": "peers",
    "grpc_server_handling_seconds_bucket": "a time",
    "process_": "the process",
    "go_": "the runtime",
    "promhttp_": "the library",
    "os_": "the machine",
    "holdfast_": "ours alone",
}
# Histograms of which something must have been seen on both, however often.
MUST_BE_SEEN = (
    "etcd_disk_wal_fsync_duration_seconds_count", "etcd_disk_wal_write_duration_seconds_count",
    "etcd_disk_wal_write_bytes_total", "etcd_disk_backend_commit_duration_seconds_count",
    "etcd_debugging_disk_backend_commit_write_duration_seconds_count",
    "etcd_debugging_disk_backend_commit_spill_duration_seconds_count",
    "etcd_debugging_disk_backend_commit_rebalance_duration_seconds_count",
    "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds_count",
    "etcd_debugging_server_watch_send_loop_watch_stream_duration_seconds_count",
    "etcd_debugging_server_watch_send_loop_watch_stream_duration_per_event_seconds_count",
    "etcd_debugging_server_watch_send_loop_control_stream_duration_seconds_count",
    "etcd_network_client_grpc_received_bytes_total", "etcd_network_client_grpc_sent_bytes_total",
)
KEYS = 20


def scrape(member):
    with urllib.request.urlopen(member.url + "/metrics", timeout=20) as answer:
        text = answer.read().decode()
    values = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            series, value = line.rsplit(" ", 1)
            values[series] = float(value)
    return values


def compared(series):
    name = series.split("{")[0]
    if name.endswith(("_bucket", "_sum")):
        return False
    # Whether a client that leaves its stream is seen to end or to cancel it is a race.
    if name == "grpc_server_handled_total" and 'grpc_type="bidi_stream"' in series:
        return False
    return not name.startswith(tuple(MAY_DIFFER))


def call(member, path, body):
    request = urllib.request.Request(member.url + path, data=json.dumps(body).encode(), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read().split(b"\n")[0])
    except urllib.error.HTTPError as error:
        return json.loads(error.read())


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def etcdctl(tools, member, *arguments):
    """A running etcdctl: streams have no place on our JSON gateway."""
    return subprocess.Popen([tools / "etcdctl", f"--endpoints={member.endpoint}", *arguments],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def await_watchers(member, count):
    deadline = time.monotonic() + 20
    while scrape(member)["etcd_debugging_mvcc_watcher_total"] != count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{member.name} does not have {count} watchers")
        time.sleep(0.05)


def workload(member, tools):
    watcher = etcdctl(tools, member, "watch", "k", "l")
    await_watchers(member, 1)
    for i in range(KEYS):
        call(member, "/v3/kv/put", {"key": encoded(f"k{i:02}"), "value": encoded("v" * 100)})
    for i in range(KEYS):
        revision = call(member, "/v3/kv/put", {"key": encoded(f"k{i:02}"), "value": encoded("w")})
    call(member, "/v3/kv/put", {})
    call(member, "/v3/kv/put", {"key": encoded("k"), "lease": "77"})
    for _ in range(5):
        call(member, "/v3/kv/range", {"key": encoded("k"), "range_end": encoded("l")})
        call(member, "/v3/kv/range", {"key": encoded("k00"), "serializable": True})
    call(member, "/v3/kv/range", {"key": encoded("k00"), "revision": "99999"})
    put = {"request_put": {"key": encoded("k00"), "value": encoded("x")}}
    get = {"request_range": {"key": encoded("k00")}}
    guard = [{"key": encoded("k00"), "target": "VERSION", "result": "GREATER", "version": "0"}]
    call(member, "/v3/kv/txn", {"compare": guard, "success": [put], "failure": [get]})
    call(member, "/v3/kv/txn", {"compare": guard, "success": [get, get]})
    call(member, "/v3/kv/txn", {"success": [{"request_txn": {"success": [get, put]}}, get]})
    call(member, "/v3/kv/deleterange", {"key": encoded("k01")})
    call(member, "/v3/kv/deleterange", {"key": encoded("none")})
    call(member, "/v3/lease/grant", {"TTL": "60", "ID": "7"})
    call(member, "/v3/lease/grant", {"TTL": "60", "ID": "7"})
    etcdctl(tools, member, "lease", "keep-alive", "--once", "7").wait(20)
    etcdctl(tools, member, "lease", "keep-alive", "--once", "8").wait(20)
    call(member, "/v3/lease/revoke", {"ID": "7"})
    call(member, "/v3/lease/timetolive", {"ID": "7"})
    call(member, "/v3/kv/compaction", {"revision": revision["header"]["revision"], "physical": True})
    call(member, "/v3/maintenance/alarm", {})
    call(member, "/v3/maintenance/status", {})
    call(member, "/v3/maintenance/hash", {})
    call(member, "/v3/maintenance/defragment", {})
    for _ in range((2 * KEYS + 3) * 3):  # lines: the event's type, the key, the value
        watcher.stdout.readline()
    watcher.terminate()
    watcher.wait(20)
    watcher.stdout.close()


def quiet_scrape(member):
    """A scrape that the next one agrees with: some gauges follow what they show."""
    deadline = time.monotonic() + 20
    values = scrape(member)
    while True:
        time.sleep(0.3)
        again = scrape(member)
        steady = all(value == again.get(series) for series, value in values.items() if compared(series))
        if steady or time.monotonic() > deadline:
            return again
        values = again


def settled(member, before):
    """The scrape after the workload, once commits in the background and streams have ended."""
    deadline = time.monotonic() + 20
    while True:
        after = quiet_scrape(member)
        done = all(after.get(name, 0) > before.get(name, 0) for name in MUST_BE_SEEN)
        idle = after.get("etcd_debugging_mvcc_watcher_total") == 0
        if (done and idle) or time.monotonic() > deadline:
            return after


def check(etcd, ours, tools, differ):
    changes = []
    for member in (etcd, ours):
        before = quiet_scrape(member)
        workload(member, tools)
        after = settled(member, before)
        for name in MUST_BE_SEEN:
            if after.get(name, 0) <= before.get(name, 0):
                differ(f"{name} on {member.name} grows", "yes", (before.get(name), after.get(name)))
        changes.append({series: value - before.get(series, 0) for series, value in after.items()
                        if compared(series)})
    theirs, mine = changes
    for series in sorted(set(theirs) | set(mine)):
        if theirs.get(series, 0) != mine.get(series, 0):
            differ(f"change of {series}", theirs.get(series), mine.get(series))
