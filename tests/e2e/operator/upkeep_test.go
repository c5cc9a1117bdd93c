package operator

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// Upkeep by schedule, under load: it costs no write, and what was done stands in status.
func TestUpkeepFollowsItsSchedules(t *testing.T) {
	b := lay(t, "upkeep")
	before := b.uids()
	b.step("compaction and defragmentation", func(t *testing.T) {
		b.patch(`{"spec":{"maintenance":{"compact":{"schedule":"* * * * *","keepRevisions":5000},` +
			`"defragment":{"schedule":"* * * * *","freeAbovePercent":1,"minReclaim":"1"}}}}`)
		within(t, patience, "both were done", func() error {
			text, err := tryKubectl("--namespace", b.ns, "get", "hfc", "db", "--output", "jsonpath={.status.maintenance}")
			if err != nil {
				return err
			}
			var done struct{ CompactedAt, DefragmentedAt, ScheduledSince time.Time }
			if err := json.Unmarshal([]byte(text), &done); err != nil {
				return err
			}
			if done.CompactedAt.IsZero() || done.DefragmentedAt.IsZero() {
				return fmt.Errorf("%s", text)
			}
			return nil
		})
		if err := b.areTheSame(before); err != nil {
			t.Error(err)
		}
	})
	b.step("an operation whose time is up", func(t *testing.T) {
		apply(t, fmt.Sprintf(`
apiVersion: holdfast.dev/v1alpha1
kind: HoldfastOperation
metadata: {name: too-late, namespace: %s}
spec:
  clusterRef: {name: db}
  type: Compact
  compact: {revision: 1000000000}
  activeDeadlineSeconds: 10
  ttlSecondsAfterFinished: 3
`, b.ns))
		within(t, patience, "it is gone", func() error {
			if _, err := tryKubectl("--namespace", b.ns, "get", "hfo", "too-late"); err == nil {
				return fmt.Errorf("it is still there")
			}
			return nil
		})
	})
	b.clear()
}
