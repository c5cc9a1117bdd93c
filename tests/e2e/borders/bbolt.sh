#!/usr/bin/env bash
# bbolt.sh: our bbolt reader and writer against etcd's own tools and a real etcd.
#
#   HOLDFAST_TOOLS  folder of etcd, etcdctl and etcdutl (default build/tools)
#   BBOLT_TOOL      our program (default build/release/bin/bbolt_tool)
#
# A real etcd is filled at random and its database read by us; what we write from it must pass
# etcdutl's full check, hash the same, and a real etcd must serve and change it.
set -euo pipefail
# shellcheck source=server.bash
. "$(dirname "$0")/server.bash"
ours=$(realpath "${BBOLT_TOOL:-$root/build/release/bin/bbolt_tool}")
keys=${BBOLT_KEYS:-4000}
field() { python3 -c 'import json,sys; d = json.load(sys.stdin); d = d[0] if isinstance(d, list) else d
for k in sys.argv[1:]: d = d[k]
print(d)' "$@"; }

# load SEED: puts, overwrites and deletes of random sizes through the JSON gateway.
load() {
  python3 - "$url" "$1" "$keys" <<'PYTHON'
import base64, http.client, json, random, sys
url, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
random.seed(seed)
connection = http.client.HTTPConnection(url.removeprefix("http://"))
b64 = lambda b: base64.b64encode(b).decode()
def call(path, body):
    connection.request("POST", path, json.dumps(body))
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 200, text
    return json.loads(text)
leases = [call("/v3/lease/grant", {"TTL": 3600})["ID"] for _ in range(20)]
revision = 1
for i in range(count):
    key = b"key-%d" % random.randrange(count // 2)
    dice = random.random()
    if dice < 0.85:
        size = random.choice([0, 1, 20, 256, 256, 1000, 4070, 4096, 20000])
        body = {"key": b64(key), "value": b64(random.randbytes(size))}
        if random.random() < 0.1: body["lease"] = random.choice(leases)
        revision = int(call("/v3/kv/put", body)["header"]["revision"])
    elif dice < 0.98:
        call("/v3/kv/deleterange", {"key": b64(key)})
    else:
        call("/v3/kv/deleterange", {"key": b64(key), "range_end": b64(key + b"\xff")})
call("/v3/kv/compaction", {"revision": revision // 2, "physical": True})
for i in range(30):
    call("/v3/auth/role/add", {"name": "role-%d-%d" % (seed, i)})
    call("/v3/auth/user/add", {"name": "user-%d-%d" % (seed, i), "password": "p"})
PYTHON
}

# compare FILE: etcdutl's view of it (full consistency check included) equals ours.
compare() {
  local hash entries
  read -r hash entries <<<"$("$ours" hash "$1")"
  equal "hash of $(basename "$1"), $entries entries" "$((16#$hash))" \
    "$("$tools/etcdutl" snapshot status "$1" -w json 2>/dev/null | field hash)"
}

start "$tools/etcd" "$work/first"
load 1
ctl snapshot save "$work/saved.db" >/dev/null 2>&1
hashkv=$(ctl endpoint hashkv -w json | field HashKV hash)
load 2
stop KILL
compare "$work/saved.db"
compare "$work/first/member/snap/db"

# etcdutl hashkv writes to the file it hashes, so it gets a copy.
hashkv_of() {
  cp "$1" "$work/copy.db"
  "$tools/etcdutl" hashkv "$work/copy.db" -w json 2>/dev/null | field hash
}

for source in saved.db first/member/snap/db; do
  "$ours" convert "$work/$source" "$work/ours.db"
  compare "$work/ours.db"
  equal "content of $source before and after us" "$("$ours" hash "$work/$source")" "$("$ours" hash "$work/ours.db")"
  equal "HashKV of $source before and after us" \
    "$(hashkv_of "$work/$source")" \
    "$(hashkv_of "$work/ours.db")"
done

"$ours" convert "$work/saved.db" "$work/ours.db"
"$tools/etcdutl" snapshot restore "$work/ours.db" --skip-hash-check --data-dir "$work/second" >/dev/null 2>&1
start "$tools/etcd" "$work/second"
equal "HashKV of a real etcd started on it" "$(ctl endpoint hashkv -w json | field HashKV hash)" "$hashkv"
load 3
ctl defrag >/dev/null
load 4
stop
compare "$work/second/member/snap/db"
echo "bbolt.sh: passed"
