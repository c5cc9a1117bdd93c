package operator

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// message returns the condition's message, or an error while it is not as said.
func (c cluster) message(kind, status, reason string) (string, error) {
	object, err := c.get()
	if err != nil {
		return "", err
	}
	for _, condition := range object.Status.Conditions {
		if condition.Type == kind && condition.Status == status && condition.Reason == reason {
			return condition.Message, nil
		}
	}
	return "", fmt.Errorf("%+v", object.Status.Conditions)
}

func TestAVolumeFillsUpAndGrows(t *testing.T) {
	operator := startOperator(t)
	small := strings.Replace(manifest, "{size: 1Gi}", "{size: 256Mi, storageClassName: loop-grows}", 1)
	apply(t, fmt.Sprintf(small, "volumes-test", plain))
	c := cluster{t, "volumes-test"}
	b := &bed{cluster: c, operator: operator}
	c.awaitReady(3)
	before := c.uids()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"http://db.volumes-test.svc.cluster.local:2379"}, DialTimeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	value := strings.Repeat("x", 256<<10)
	acknowledged := 0
	put := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), callDeadline)
		defer cancel()
		_, err := client.Put(ctx, fmt.Sprintf("fill/%04d", acknowledged), value)
		if err == nil {
			acknowledged++
		}
		return err
	}
	stored := func() (int64, error) {
		ctx, cancel := context.WithTimeout(context.Background(), callDeadline)
		defer cancel()
		response, err := client.Get(ctx, "fill/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil {
			return 0, err
		}
		return response.Count, nil
	}

	t.Run("writes are refused once it is full", func(t *testing.T) {
		within(t, patience, "no space", func() error {
			for {
				err := put()
				if err != nil && strings.Contains(err.Error(), "database space exceeded") {
					return nil
				}
				if err != nil {
					return err
				}
			}
		})
		t.Logf("%d writes of 256 KiB were acknowledged", acknowledged)
		within(t, patience, "the condition says what to do", func() error {
			message, err := c.message("AlarmActive", "True", "NoSpace")
			if err == nil && !strings.Contains(message, "quotaBytes") {
				err = fmt.Errorf("%q", message)
			}
			return err
		})
		stays(t, 5*time.Second, "the members live, and serve what they hold", func() error {
			if err := b.areTheSame(before); err != nil {
				return err
			}
			if count, err := stored(); err != nil || count < int64(acknowledged) {
				return fmt.Errorf("%d of %d, %v", count, acknowledged, err)
			}
			return nil
		})
	})
	t.Run("it grows, and the quota with it", func(t *testing.T) {
		c.patch(`{"spec":{"storage":{"size":"512Mi"}}}`)
		within(t, patience, "claims have grown", func() error {
			sizes := c.kubectl("get", "pvc", "--output", "jsonpath={.items[*].status.capacity.storage}")
			if sizes != "512Mi 512Mi 512Mi" {
				return fmt.Errorf("%s", sizes)
			}
			return nil
		})
		within(t, patience, "every member has the larger quota", func() error {
			if err := c.areNew(before); err != nil {
				return err
			}
			for _, endpoint := range c.pods() {
				ctx, cancel := context.WithTimeout(context.Background(), callDeadline)
				status, err := client.Status(ctx, fmt.Sprintf("http://%s.db-peers.%s.svc.cluster.local:2379", endpoint, c.ns))
				cancel()
				if err != nil || status.DbSizeQuota < 200<<20 {
					return fmt.Errorf("%s: %+v, %v", endpoint, status, err)
				}
			}
			return nil
		})
	})
	t.Run("writes go on once the alarm is disarmed", func(t *testing.T) {
		apply(t, `
apiVersion: holdfast.dev/v1alpha1
kind: HoldfastOperation
metadata: {name: disarm, namespace: volumes-test}
spec:
  clusterRef: {name: db}
  type: DisarmAlarm
  disarmAlarm: {alarm: NoSpace}
  ttlSecondsAfterFinished: 5
`)
		within(t, patience, "a write", put)
		c.awaitReady(3)
		if count, err := stored(); err != nil || count < int64(acknowledged) {
			t.Errorf("%d of %d, %v", count, acknowledged, err)
		}
		within(t, patience, "the operation is gone once its time is up", func() error {
			if _, err := tryKubectl("--namespace", c.ns, "get", "hfo", "disarm"); err == nil {
				return fmt.Errorf("it is still there")
			}
			return nil
		})
	})
	if !t.Failed() {
		operator.stop()
		b.remove()
	}
}

func TestAVolumeThatCannotGrowIsSaid(t *testing.T) {
	operator := startOperator(t)
	c := declareAs(t, "cannot-grow", plain)
	c.patch(`{"spec":{"replicas":1}}`)
	c.awaitReady(1)
	c.patch(`{"spec":{"storage":{"size":"2Gi"}}}`)
	within(t, patience, "the condition says so", func() error {
		_, err := c.message("StorageHealthy", "False", "VolumeCannotGrow")
		return err
	})
	b := &bed{cluster: c, operator: operator}
	operator.stop()
	b.remove()
}
