package operator

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/tests/go/history"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// bulkBytes is what one of the values is long that fill a store.
const bulkBytes = 256 << 10

// volumesOf is a cluster's spec for volumes of a class of tests/e2e/volumes. The quota is given, so that a
// larger volume restarts nobody.
func volumesOf(class, size string) string {
	return fmt.Sprintf("  storage: {size: %s, storageClassName: %s}\n  options: {quotaBytes: 67108864}\n%s", size, class, plain)
}

func declareWithVolumes(t *testing.T, ns, class, size string) cluster {
	t.Helper()
	apply(t, strings.Replace(fmt.Sprintf(manifest, ns, volumesOf(class, size)), "  storage: {size: 1Gi}\n", "", 1))
	c := cluster{t, ns}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.describe())
		}
	})
	return c
}

// claims are what the cluster's claims say at a path, by claim.
func (c cluster) claims(path string) map[string]string {
	c.t.Helper()
	found := map[string]string{}
	for _, line := range strings.Fields(c.kubectl("get", "pvc", "--output", "jsonpath={range .items[*]}{.metadata.name}={"+path+"}{\"\\n\"}{end}")) {
		name, value, _ := strings.Cut(line, "=")
		found[name] = value
	}
	return found
}

// haveVolumes returns an error until there are so many claims, each with a volume of that size and class.
func (c cluster) haveVolumes(count int, size, class string) error {
	sizes, classes := c.claims(".status.capacity.storage"), c.claims(".spec.storageClassName")
	if len(sizes) != count {
		return fmt.Errorf("%d claims: %v", len(sizes), sizes)
	}
	for name := range sizes {
		if sizes[name] != size || classes[name] != class {
			return fmt.Errorf("%v of %v", sizes, classes)
		}
	}
	return nil
}

// memberHere is a member whose Pod is on this node, and where its volume is mounted; empty if none is.
func (c cluster) memberHere() (pod, mount string) {
	c.t.Helper()
	pods := strings.Fields(c.kubectl("get", "pods", "--field-selector", "spec.nodeName=node1", "--output", "jsonpath={.items[*].metadata.name}"))
	if len(pods) == 0 {
		return "", ""
	}
	pod = pods[0]
	claim := c.kubectl("get", "pod", pod, "--output", "jsonpath={.spec.volumes[*].persistentVolumeClaim.claimName}")
	volume := c.kubectl("get", "pvc", claim, "--output", "jsonpath={.spec.volumeName}")
	staged := fmt.Sprintf("%x", sha256.Sum256([]byte(volume)))
	return pod, filepath.Join("/var/lib/kubelet/plugins/kubernetes.io/csi/loop.test.holdfast.dev", staged, "globalmount")
}

// sizeOf is the size of the file system there, in bytes; 0 if the path is empty.
func sizeOf(t *testing.T, mount string) int64 {
	t.Helper()
	if mount == "" {
		return 0
	}
	var found syscall.Statfs_t
	if err := syscall.Statfs(mount, &found); err != nil {
		t.Fatal(err)
	}
	return int64(found.Blocks) * found.Bsize
}

// fill takes all the room that a file system has left.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err := file.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Sync(); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

func TestVolumesGrow(t *testing.T) {
	operator := startOperator(t)
	c := declareWithVolumes(t, "volumes", "loop-stays", "128Mi")
	c.awaitReady(3)
	l := startLoad(t, "http://db.volumes.svc.cluster.local:2379")
	b := &bed{cluster: c, operator: operator, load: l}

	step(t, l, "a class that can't grow", func(t *testing.T) {
		c.patch(`{"spec":{"storage":{"size":"160Mi"}}}`)
		within(t, patience, "the condition says what to do", func() error {
			message, err := c.message("StorageHealthy", "False", "VolumeCannotGrow")
			if err == nil && !strings.Contains(message, "spec.storage.storageClassName") {
				err = fmt.Errorf("%q", message)
			}
			return err
		})
	})
	step(t, l, "another class", func(t *testing.T) {
		c.patch(`{"spec":{"storage":{"storageClassName":"loop-grows"}}}`)
		within(t, patience, "every member was replaced", func() error {
			if err := c.haveVolumes(3, "160Mi", "loop-grows"); err != nil {
				return err
			}
			return c.isReady(3)
		})
	})
	step(t, l, "grow in use", func(t *testing.T) {
		running := c.uids()
		_, mount := c.memberHere()
		small := sizeOf(t, mount)
		c.patch(`{"spec":{"storage":{"size":"256Mi"}}}`)
		within(t, patience, "every volume is larger", func() error { return c.haveVolumes(3, "256Mi", "loop-grows") })
		if grown := sizeOf(t, mount) - small; mount != "" && grown != 96<<20 {
			t.Errorf("the file system has grown by %d bytes", grown)
		}
		if err := b.areTheSame(running); err != nil {
			t.Error(err)
		}
		within(t, patience, "all is well", func() error {
			if _, err := c.message("StorageHealthy", "True", "AsDeclared"); err != nil {
				return err
			}
			return c.isReady(3)
		})
	})
	step(t, l, "smaller is refused", func(t *testing.T) {
		_, err := tryKubectl("--namespace", c.ns, "patch", "hfc", "db", "--type=merge", "--patch", `{"spec":{"storage":{"size":"128Mi"}}}`)
		if err == nil || !strings.Contains(err.Error(), "never shrink") {
			t.Errorf("%v", err)
		}
	})
	l.finish()
	operator.stop()
	b.remove()
}

// bulk overwrites a few keys until so many bytes were acknowledged. Attempts that fail are made again: a
// member without room refuses them.
func (l *load) bulk(t *testing.T, client *clientv3.Client, bytes int) {
	t.Helper()
	for written := 0; written < bytes; written += bulkBytes {
		within(t, patience, "a large write", func() error {
			l.bulks++
			value := fmt.Sprintf("bulk-%d-%s", l.bulks, strings.Repeat("x", bulkBytes))
			return l.call(client, &history.Operation{
				Client: clients, Kind: history.Write, Keys: []string{fmt.Sprintf("bulk/%d", l.bulks%4)}, Value: value,
			})
		})
	}
}

func TestVolumesFillUp(t *testing.T) {
	operator := startOperator(t)
	c := declareWithVolumes(t, "full", "loop-grows", "96Mi")
	c.awaitReady(3)
	const endpoint = "http://db.full.svc.cluster.local:2379"
	l := startLoad(t, endpoint)
	b := &bed{cluster: c, operator: operator, load: l}
	before := c.uids()
	member, mount := c.memberHere()
	filler := filepath.Join(mount, "filler")
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	fillUp := func(t *testing.T) {
		t.Helper()
		fill(t, filler)
		l.bulk(t, client, 8<<20)
		within(t, patience, "the condition names it and says what to do", func() error {
			message, err := c.message("StorageHealthy", "False", "VolumeFull")
			if err == nil && (!strings.Contains(message, member) || !strings.Contains(message, "raise spec.storage.size")) {
				err = fmt.Errorf("%q", message)
			}
			return err
		})
		within(t, patience, "an event says so", func() error {
			notes, err := tryKubectl("--namespace", c.ns, "get", "events", "--field-selector", "reason=VolumeFull", "--output", "jsonpath={.items[*].message}")
			if err == nil && !strings.Contains(notes, member) {
				err = fmt.Errorf("%q", notes)
			}
			return err
		})
	}
	recovers := func(t *testing.T) {
		t.Helper()
		within(t, patience, "it takes part again", func() error {
			if _, err := c.message("StorageHealthy", "True", "AsDeclared"); err != nil {
				return err
			}
			return c.isReady(3)
		})
		if err := b.areTheSame(before); err != nil {
			t.Error(err)
		}
	}

	step(t, l, "a full volume has room again", func(t *testing.T) {
		fillUp(t)
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		recovers(t)
	})
	step(t, l, "a full volume grows", func(t *testing.T) {
		fillUp(t)
		c.patch(`{"spec":{"storage":{"size":"160Mi"}}}`)
		recovers(t)
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	})
	l.finish()
	operator.stop()
	b.remove()
}
