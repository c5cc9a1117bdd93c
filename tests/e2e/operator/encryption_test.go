package operator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/tests/go/history"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// volumes is where node 1, in which the test runs, has them.
const volumes = "/var/lib/volumes"

// isEncrypted returns an error until the condition EncryptionReady has this reason.
func (c cluster) isEncrypted(reason string) error {
	if _, now, message := c.condition("EncryptionReady"); now != reason {
		return fmt.Errorf("%s: %s", now, message)
	}
	return nil
}

type encryptionStatus struct {
	KeyID         string
	KeyIDs        []string
	MembersBehind []string
}

func (c cluster) encryption() (status encryptionStatus) {
	c.t.Helper()
	text := c.kubectl("get", "hfc", "db", "--output", "jsonpath={.status.encryption}")
	if text != "" {
		if err := json.Unmarshal([]byte(text), &status); err != nil {
			c.t.Fatal(err)
		}
	}
	return status
}

// usesOne returns an error until members are given one key and all use it; not the one of before.
func (c cluster) usesOne(before string) error {
	if err := c.isEncrypted("AsDeclared"); err != nil {
		return err
	}
	now := c.encryption()
	if now.KeyID == before || len(now.KeyIDs) != 1 || len(now.MembersBehind) != 0 {
		return fmt.Errorf("keys are %+v", now)
	}
	return nil
}

func newKey(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("openssl", "rand", "-hex", "32").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// put writes what is looked for on volumes.
func put(t *testing.T, endpoint, key, value string) {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	within(t, patience, "a value is written", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), callDeadline)
		defer cancel()
		_, err := client.Put(ctx, key, value)
		return err
	})
}

// put writes a value as one of the load's own clients.
func (l *load) put(key, value string) {
	l.t.Helper()
	within(l.t, patience, "a value is written", func() error {
		return l.call(l.clients[clients], &history.Operation{Client: clients, Keys: []string{key}, Kind: history.Write, Value: value})
	})
}

func (l *load) errorCount() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	count := 0
	for _, each := range l.errors {
		count += each
	}
	return count
}

// filesWith are the files on node 1 of the cluster's volumes that have a text in them, and how many
// were looked at.
func (c cluster) filesWith(text string) (found []string, looked int) {
	c.t.Helper()
	err := filepath.WalkDir(volumes, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil || entry.IsDir() || !strings.Contains(path, "_"+c.ns+"_data-db-") {
			return err
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		looked++
		if bytes.Contains(content, []byte(text)) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return found, looked
}

func (c cluster) expectUnreadable(text string) {
	c.t.Helper()
	if found, looked := c.filesWith(text); len(found) > 0 || looked == 0 {
		c.t.Errorf("of %d files, the value is readable in %v", looked, found)
	}
}

// A cluster that begins with keys which nobody made for it.
func TestEncryptedFromTheBeginning(t *testing.T) {
	operator := startOperator(t)
	c := declareAs(t, "sealed", plain+"  encryptionAtRest: {}\n")
	c.awaitReady(3)
	within(t, patience, "all use the key", func() error { return c.usesOne("") })
	put(t, "http://db.sealed.svc.cluster.local:2379", "secret", "what-nobody-may-read")
	c.expectUnreadable("what-nobody-may-read")
	if key := strings.TrimSpace(c.value("db-encryption", "keys")); len(key) < 64 {
		t.Error("no key was generated")
	}
	for _, member := range c.pods() {
		page, err := exec.Command("curl", "--silent", "--max-time", "5", "http://"+member+".db-peers.sealed.svc.cluster.local:2381/metrics").Output()
		if err != nil || !bytes.Contains(page, []byte(`wrapping_key="`+c.encryption().KeyID+`"`)) {
			t.Errorf("%s does not tell the key of the status: %v", member, err)
		}
	}
	c.kubectl("delete", "hfc", "db", "--timeout=60s")
	for _, kept := range []string{"db-encryption", "db-keys"} {
		if c.value(kept, "keys") == "" {
			t.Errorf("%s is gone, and the volumes were to be kept", kept)
		}
	}
	operator.stop()
	kubectl(t, "delete", "namespace", "sealed", "--timeout=90s")
}

// A plain cluster is sealed while it is written to, and its key is changed.
func TestEncryptionComesAndItsKeyChanges(t *testing.T) {
	life := t // outlives the steps
	operator := startOperator(life)
	c := declareAs(t, "sealing", plain)
	c.awaitReady(3)
	endpoint := "http://db.sealing.svc.cluster.local:2379"
	l := startLoad(t, endpoint)
	l.put("secret", "what-was-readable-once")
	if found, looked := c.filesWith("what-was-readable-once"); len(found) == 0 {
		t.Fatalf("%d files were looked at, and a plain value is in none", looked)
	}
	before := c.restarts()

	step(t, l, "a Secret that can't be used", func(t *testing.T) {
		c.kubectl("patch", "hfc", "db", "--type=merge", "--patch", `{"spec":{"encryptionAtRest":{"secretRef":{"name":"mine"}}}}`)
		within(t, patience, "it is missed", func() error { return c.isEncrypted("KeySecretMissing") })
		c.kubectl("create", "secret", "generic", "mine", "--from-literal=keys=no-key")
		within(t, patience, "it is refused", func() error { return c.isEncrypted("KeySecretUnusable") })
		if now := c.restarts(); now != before {
			t.Errorf("members restarted: %s before, %s after", before, now)
		}
	})
	setKey := func(key string) {
		patch, _ := json.Marshal(map[string]any{"stringData": map[string]string{"keys": key}})
		c.kubectl("patch", "secret", "mine", "--type=merge", "--patch", string(patch))
	}
	step(t, l, "sealed member by member", func(t *testing.T) {
		setKey(newKey(t))
		within(t, patience, "all use the key", func() error { return c.usesOne("") })
		c.awaitReady(3)
		c.expectUnreadable("what-was-readable-once")
	})
	// A leader that hands over may leave a request without an answer; keys make nobody hand over.
	errorsOfRestarts := l.errorCount()
	before = c.restarts()
	first := c.encryption().KeyID
	step(t, l, "another key", func(t *testing.T) {
		setKey(newKey(t))
		within(t, patience, "both are given", func() error {
			if now := c.encryption(); len(now.KeyIDs) != 2 || now.KeyIDs[1] != first {
				return fmt.Errorf("keys are %+v", now)
			}
			return nil
		})
		operator.kill() // what it knows of keys stands in Secrets
		operator = startOperator(life)
		within(t, patience, "all use it", func() error { return c.usesOne(first) })
	})
	step(t, l, "what members mount is deleted", func(t *testing.T) {
		c.kubectl("delete", "secret", "db-keys")
		within(t, patience, "it is made again", func() error {
			if c.value("db-keys", "keys") == "" {
				return errors.New("it is not there")
			}
			return c.usesOne(first)
		})
	})
	step(t, l, "not wanted any more", func(t *testing.T) {
		c.kubectl("patch", "hfc", "db", "--type=merge", "--patch", `{"spec":{"encryptionAtRest":null}}`)
		within(t, patience, "there is no way back", func() error { return c.isEncrypted("CannotBeTurnedOff") })
	})
	if now := c.restarts(); now != before {
		t.Errorf("members restarted: %s before, %s after", before, now)
	}
	if key := strings.TrimSpace(c.value("mine", "keys")); strings.Contains(c.kubectl("get", "hfc,events,pods", "--output", "yaml"), key) {
		t.Error("a key is in the open")
	}
	l.finish()
	if l.errorCount() > errorsOfRestarts {
		t.Errorf("errors of clients, %d of them from restarts: %v", errorsOfRestarts, l.errors)
	}
	c.kubectl("delete", "hfc", "db", "--timeout=60s")
	operator.stop()
	kubectl(t, "delete", "namespace", "sealing", "--timeout=90s")
}
