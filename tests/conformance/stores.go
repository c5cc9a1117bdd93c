package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"holdfast/tests/go/member"

	bolt "go.etcd.io/bbolt"
)

// equalBuckets are the buckets of a snapshot whose every byte must be equal: the members' names and
// IDs, and how far each log went, are in the others.
var equalBuckets = []string{"alarm", "auth", "authRoles", "authUsers", "cluster", "key", "lease"}

// equalMeta are the keys of bucket meta that must be equal.
var equalMeta = []string{"finishedCompactRev", "scheduledCompactRev", "storageVersion"}

// maxEntriesShown bounds how many entries that differ are told of each bucket.
const maxEntriesShown = 3

// compareStores takes a snapshot of each side, has etcdutl check both, and compares what is in them.
func (d *driver) compareStores(dir string) error {
	var files, statuses [2]string
	for i, s := range d.sides {
		var content bytes.Buffer
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		_, err := s.saveSnapshot(ctx, &content)
		cancel()
		if err != nil {
			return fmt.Errorf("%s: snapshot: %w", s.name, err)
		}
		files[i] = filepath.Join(dir, s.name+".db")
		if err := os.WriteFile(files[i], content.Bytes(), 0o600); err != nil {
			return err
		}
		if statuses[i], err = snapshotStatus(files[i]); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if statuses[0] != statuses[1] {
		d.report("Maintenance.Snapshot", "status: differs", fmt.Sprintf("reference: %s\n  tested:    %s", statuses[0], statuses[1]))
	}
	return d.compareFiles(files)
}

// snapshotStatus returns what `etcdutl snapshot status` and `etcdutl hashkv` say, without the hash
// and size of the file, which cover what two members cannot share.
func snapshotStatus(file string) (string, error) {
	output, err := exec.Command(member.Tool("etcdutl"), "snapshot", "status", file, "-w", "json").Output()
	if err != nil {
		return "", fmt.Errorf("etcdutl snapshot status: %w: %s", err, stderr(err))
	}
	var status struct {
		Revision int64  `json:"revision"`
		TotalKey int    `json:"totalKey"`
		Version  string `json:"version"`
	}
	if err := json.Unmarshal(output, &status); err != nil {
		return "", err
	}
	output, err = exec.Command(member.Tool("etcdutl"), "hashkv", file, "-w", "json").Output()
	if err != nil {
		return "", fmt.Errorf("etcdutl hashkv: %w: %s", err, stderr(err))
	}
	return fmt.Sprintf("revision %d, %d keys, version %s, hashkv %s", status.Revision, status.TotalKey, status.Version, bytes.TrimSpace(output)), nil
}

func stderr(err error) string {
	if exit, ok := err.(*exec.ExitError); ok {
		return string(exit.Stderr)
	}
	return ""
}

func (d *driver) compareFiles(files [2]string) error {
	var databases [2]*bolt.DB
	for i, file := range files {
		database, err := bolt.Open(file, 0o600, &bolt.Options{ReadOnly: true})
		if err != nil {
			return fmt.Errorf("opening %s's snapshot: %w", d.sides[i].name, err)
		}
		defer database.Close()
		databases[i] = database
	}
	return databases[0].View(func(reference *bolt.Tx) error {
		return databases[1].View(func(tested *bolt.Tx) error {
			for _, name := range append([]string{"meta"}, equalBuckets...) {
				d.compareBucket(name, reference.Bucket([]byte(name)), tested.Bucket([]byte(name)))
			}
			return nil
		})
	})
}

// compareBucket walks both buckets in step and reports the first entries that differ.
func (d *driver) compareBucket(name string, reference, tested *bolt.Bucket) {
	if (reference == nil) != (tested == nil) {
		d.report("snapshot", "bucket "+name+": there: "+fmt.Sprint(tested != nil), fmt.Sprintf("etcd's is there: %v", reference != nil))
		return
	}
	if reference == nil {
		return
	}
	want, got := reference.Cursor(), tested.Cursor()
	wantKey, wantValue := want.First()
	gotKey, gotValue := got.First()
	var shown []string
	for (wantKey != nil || gotKey != nil) && len(shown) < maxEntriesShown {
		order := bytes.Compare(wantKey, gotKey)
		if wantKey == nil {
			order = 1
		} else if gotKey == nil {
			order = -1
		}
		skip := name == "meta" && !slices.Contains(equalMeta, string(wantKey)) && !slices.Contains(equalMeta, string(gotKey))
		switch {
		case skip:
		case order < 0:
			shown = append(shown, fmt.Sprintf("missing %x = %.80q", wantKey, wantValue))
		case order > 0:
			shown = append(shown, fmt.Sprintf("too many %x = %.80q", gotKey, gotValue))
		case !bytes.Equal(wantValue, gotValue):
			shown = append(shown, fmt.Sprintf("%x = %.80q, want %.80q", wantKey, gotValue, wantValue))
		}
		if order <= 0 {
			wantKey, wantValue = want.Next()
		}
		if order >= 0 {
			gotKey, gotValue = got.Next()
		}
	}
	if len(shown) > 0 {
		d.report("snapshot", "bucket "+name+": differs", fmt.Sprintf("%q", shown))
	}
}
