package client

import (
	"crypto/sha256"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"holdfast/tests/go/member"
)

func TestSnapshotRestoresIntoARealEtcd(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	for range 50 {
		put(t, c, "k", "v")
	}
	put(t, c, "leased", "v", clientv3.WithLease(grant(t, c, 600)))
	last := put(t, c, "k", "last")
	hash := must[*clientv3.HashKVResponse](t)(c.HashKV(testContext(t), c.Endpoints()[0], last))

	file := filepath.Join(t.TempDir(), "snapshot.db")
	saveSnapshot(t, c, file)
	restored := filepath.Join(t.TempDir(), "restored")
	if output, err := exec.Command(member.Tool("etcdutl"), "snapshot", "restore", file, "--data-dir", restored,
		"--name=m", "--initial-cluster=m=http://127.0.0.1:1", "--initial-advertise-peer-urls=http://127.0.0.1:1").CombinedOutput(); err != nil {
		t.Fatalf("etcdutl snapshot restore: %v\n%s", err, output)
	}
	etcd, err := member.Start(member.Options{Binary: member.Etcd(), Dir: t.TempDir(), DataDir: restored, Flags: quickFlags})
	mustDo(t, err)
	defer etcd.Kill()
	other := connect(t, etcd.ClientAddr())
	if kv := get(t, other, "k").Kvs[0]; string(kv.Value) != "last" || kv.ModRevision != last {
		t.Fatalf("the restored etcd has %v", kv)
	}
	otherHash := must[*clientv3.HashKVResponse](t)(other.HashKV(testContext(t), etcd.ClientAddr(), last))
	if otherHash.Hash != hash.Hash {
		t.Fatalf("HashKV %08x after restoring, %08x before", otherHash.Hash, hash.Hash)
	}
}

// saveSnapshot writes a snapshot and checks its digest.
func saveSnapshot(t *testing.T, c *clientv3.Client, file string) {
	t.Helper()
	reader := must[io.ReadCloser](t)(c.Snapshot(testContext(t)))
	defer reader.Close()
	content := must[[]byte](t)(io.ReadAll(reader))
	cut := len(content) - sha256.Size
	if sum := sha256.Sum256(content[:cut]); string(sum[:]) != string(content[cut:]) {
		t.Fatal("the snapshot does not end with its SHA-256")
	}
	mustDo(t, os.WriteFile(file, content, 0o600))
}

func TestStatusHashAndDefragmentAnswer(t *testing.T) {
	t.Parallel()
	m, c := start(t)
	revision := put(t, c, "k", "v")
	status := must[*clientv3.StatusResponse](t)(c.Status(testContext(t), m.ClientAddr()))
	if status.Leader != status.Header.MemberId || status.Version == "" || status.DbSize == 0 || status.Header.Revision != revision {
		t.Fatalf("status: %+v", status)
	}
	must[*clientv3.DefragmentResponse](t)(c.Defragment(testContext(t), m.ClientAddr()))
	if hash := must[*clientv3.HashKVResponse](t)(c.HashKV(testContext(t), m.ClientAddr(), 0)); hash.Hash == 0 || hash.HashRevision != revision {
		t.Fatalf("hash: %+v", hash)
	}
}

func TestQuotaStopsWritesUntilSpaceIsFreedAndTheAlarmDisarmed(t *testing.T) {
	t.Parallel()
	_, c := start(t, "--quota-backend-bytes=16777216")
	value := string(make([]byte, 512<<10))
	var err error
	for i := 0; err == nil; i++ {
		if i > 200 {
			t.Fatal("no quota error after 100 MB")
		}
		_, err = c.Put(testContext(t), "fill", value)
	}
	if err.Error() != "etcdserver: mvcc: database space exceeded" {
		t.Fatalf("at the quota: %v", err)
	}
	alarms := must[*clientv3.AlarmResponse](t)(c.AlarmList(testContext(t)))
	if len(alarms.Alarms) != 1 {
		t.Fatalf("alarms: %v", alarms.Alarms)
	}
	revision := get(t, c, "fill").Header.Revision
	must[*clientv3.CompactResponse](t)(c.Compact(testContext(t), revision, clientv3.WithCompactPhysical()))
	must[*clientv3.DefragmentResponse](t)(c.Defragment(testContext(t), c.Endpoints()[0]))
	must[*clientv3.AlarmResponse](t)(c.AlarmDisarm(testContext(t), &clientv3.AlarmMember{}))
	put(t, c, "again", "v")
}
