package beside

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/tests/go/cluster"
)

// take runs `holdfast import` on a node's data and returns where the new data is.
func take(n *cluster.Node) (dataDir, output string, err error) {
	dataDir = n.DataDir() + ".holdfast"
	text, err := exec.Command(cluster.Program(*oursFlag), "import", n.DataDir(), "--data-dir="+dataDir).CombinedOutput()
	return dataDir, string(text), err
}

// TestEtcdsAreImportedInPlace kills one etcd after the other and starts ours in its place, the same
// member on the data that it left.
func TestEtcdsAreImportedInPlace(t *testing.T) {
	if filepath.Base(cluster.Program(*oursFlag)) == "etcd" {
		t.Skip("etcd has nothing to import")
	}
	s := start(t, []string{*etcdFlag, *etcdFlag, *etcdFlag}, oldFlags)
	s.exercise()
	s.grow()
	for _, n := range s.Voters() {
		s.exercise()
		if _, output, err := take(n); err == nil || !strings.Contains(output, "an etcd runs on") {
			t.Fatalf("import from a running etcd: %v, %s", err, output)
		}
		s.Kill(n)
		dataDir, output, err := take(n)
		if err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		s.must(s.WaitHealthy(s.ctx)) // it may have led
		s.exercise()
		n.Become(cluster.Program(*oursFlag), dataDir)
		s.must(s.Spawn(n))
		s.must(s.WaitHealthy(s.ctx))
		s.step("%s is ours now: %s", n.Name(), s.composition())
		s.exercise()
		s.must(s.MoveLeader(s.ctx, n))
		s.exercise()
		s.step("it leads")
	}
	s.finish()
}

// TestALoneEtcdIsImportedWithAllItAcknowledged never lets the etcd close its files well.
func TestALoneEtcdIsImportedWithAllItAcknowledged(t *testing.T) {
	if filepath.Base(cluster.Program(*oursFlag)) == "etcd" {
		t.Skip("etcd has nothing to import")
	}
	s := start(t, []string{*etcdFlag}, nil)
	lone := s.Voters()[0]
	s.exercise()
	s.exercise()
	before, err := s.CheckEqual(s.ctx)
	s.must(err)
	s.Kill(lone)

	refuse := exec.Command(cluster.Program(*oursFlag), "--data-dir="+lone.DataDir())
	if output, err := refuse.CombinedOutput(); err == nil || !bytes.Contains(output, []byte("holds an etcd's data")) {
		t.Errorf("started on an etcd's data: %v, %s", err, output)
	}
	for _, damage := range []struct{ what, file, told string }{
		{"a byte of the log", "member/wal", "is damaged at offset"},
		{"the log's beginning", "member/wal", "is damaged at offset"},
		{"a database that is no database", "member/snap", "bbolt"},
	} {
		copied := filepath.Join(t.TempDir(), "data")
		s.must(os.CopyFS(copied, os.DirFS(lone.DataDir())))
		spoil(t, filepath.Join(copied, damage.file), damage.what == "the log's beginning")
		target := copied + ".holdfast"
		output, err := exec.Command(cluster.Program(*oursFlag), "import", copied, "--data-dir="+target).CombinedOutput()
		if err == nil || !strings.Contains(string(output), damage.told) {
			t.Errorf("%s: %v, %s", damage.what, err, output)
		}
		if _, err := os.Stat(target); !os.IsNotExist(err) {
			t.Errorf("%s: it left a data directory: %v", damage.what, err)
		}
	}

	dataDir, output, err := take(lone)
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if _, again, err := take(lone); err == nil || !strings.Contains(again, "not empty") {
		t.Errorf("imported over a member's data: %v, %s", err, again)
	}
	lone.Become(cluster.Program(*oursFlag), dataDir)
	s.must(s.Spawn(lone))
	s.must(s.WaitHealthy(s.ctx))
	after, err := s.CheckEqual(s.ctx)
	s.must(err)
	if before != after {
		t.Errorf("the etcd ended at %v, ours began at %v", before, after)
	}
	s.exercise()
	s.finish()
}

// spoil changes bytes of the one file in a folder: in the midst of what is written, or at its start.
func spoil(t *testing.T, folder string, atStart bool) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, ".tmp") {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		at := len(bytes.TrimRight(content, "\x00")) / 2
		if atStart {
			at = 0
		}
		if strings.HasSuffix(path, "db") {
			for i := range min(len(content), 16384) { // both meta pages
				content[i] = 'x'
			}
		}
		content[at] ^= 0x40
		return os.WriteFile(path, content, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}
