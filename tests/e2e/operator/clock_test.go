package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// clockOf is what a member's last line of log says the time is.
func (c cluster) clockOf(pod string) (time.Time, error) {
	line, err := tryKubectl("--namespace", c.ns, "logs", pod, "--tail=1")
	if err != nil {
		return time.Time{}, err
	}
	var entry struct{ TS time.Time }
	if err := json.Unmarshal([]byte(line), &entry); err != nil {
		return time.Time{}, fmt.Errorf("%w: %s", err, line)
	}
	return entry.TS, nil
}

// A member whose clock is ten minutes ahead (run makes its image) takes part, leads, and ends no lease
// before its time.
func TestAMembersClockIsWrong(t *testing.T) {
	b := lay(t, "clock", `{"spec":{"updatePolicy":{"strategy":"OnDelete"}}}`)
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"http://db.clock.svc.cluster.local:2379"}, DialTimeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const ttl = 240 * time.Second
	granted := time.Now()
	lease, err := client.Grant(context.Background(), int64(ttl.Seconds()))
	if err != nil {
		t.Fatal(err)
	}
	leaseLives := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), callDeadline)
		defer cancel()
		left, err := client.TimeToLive(ctx, lease.ID)
		if err != nil {
			return err
		}
		if left.TTL <= 0 && time.Since(granted) < ttl {
			t.Errorf("the lease of %v ended after %v", ttl, time.Since(granted))
		}
		return nil
	}
	var ahead string
	b.step("a member ten minutes ahead", func(t *testing.T) {
		b.patch(`{"spec":{"image":"holdfast.dev/holdfast:ahead"}}`)
		leader := b.leader()
		for _, pod := range b.pods() {
			if pod != leader {
				ahead = pod
			}
		}
		b.kubectl("delete", "pod", ahead)
		within(t, patience, "it takes part", func() error { return b.hasCondition("Ready", "AllMembersReady") })
		within(t, patience, "its clock is wrong", func() error {
			clock, err := b.clockOf(ahead)
			if err == nil && time.Until(clock) < 8*time.Minute {
				err = fmt.Errorf("it is %v there", clock)
			}
			return err
		})
		within(t, patience, "the lease is known", leaseLives)
	})
	b.step("it leads", func(t *testing.T) {
		apply(t, fmt.Sprintf(`
apiVersion: holdfast.dev/v1alpha1
kind: HoldfastOperation
metadata: {name: lead, namespace: %s}
spec:
  clusterRef: {name: db}
  type: MoveLeader
  moveLeader: {member: %s}
`, b.ns, ahead))
		within(t, patience, "it leads", func() error {
			if leader := b.leader(); leader != ahead {
				return fmt.Errorf("%s leads", leader)
			}
			return nil
		})
		stays(t, 15*time.Second, "the lease lives", leaseLives)
	})
	b.step("its Pod is killed", func(t *testing.T) {
		b.kubectl("delete", "pod", ahead, "--grace-period=0", "--force", "--wait=false")
		within(t, patience, "all take part", func() error {
			if leader := b.leader(); leader == ahead || leader == "" {
				return fmt.Errorf("%q leads", leader)
			}
			return b.hasCondition("Ready", "AllMembersReady")
		})
		within(t, patience, "the lease is known", leaseLives)
	})
	b.step("its clock is right again", func(t *testing.T) {
		b.patch(`{"spec":{"image":null,"updatePolicy":{"strategy":"Automatic"}}}`)
		within(t, patience, "every member has the image of before", func() error {
			images := b.kubectl("get", "pods", "--output", "jsonpath={.items[*].spec.containers[0].image}")
			if strings.Contains(images, ":ahead") {
				return fmt.Errorf("%s", images)
			}
			return b.isReady(3)
		})
	})
	b.clear()
}
