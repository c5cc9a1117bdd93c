package operator

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Two releases (run builds the second from the same code, stamped): up and down under load, by every
// strategy. `older` announces etcd 3.7, `newer` 3.8, so that the way down begins with etcd's downgrade.
const (
	older = "0.1.0"
	newer = "0.2.0"
)

// versions is what a cluster says of its releases.
type versions struct {
	CurrentVersion      string
	EtcdVersion         string
	LoweringEtcdVersion string
}

func (b *bed) versions() (v versions, err error) {
	text, err := tryKubectl("--namespace", b.ns, "get", "hfc", "db", "--output", "jsonpath={.status}")
	if err != nil {
		return v, err
	}
	return v, json.Unmarshal([]byte(text), &v)
}

// runs returns an error until every member runs the release, and the members have agreed on its etcd version.
func (b *bed) runs(release, etcd string) error {
	images := strings.Fields(b.kubectl("get", "pods", "--output", "jsonpath={.items[*].spec.containers[0].image}"))
	for _, image := range images {
		if !strings.HasSuffix(image, ":"+release) {
			return fmt.Errorf("the images are %v", images)
		}
	}
	v, err := b.versions()
	if err != nil {
		return err
	}
	if v != (versions{CurrentVersion: release, EtcdVersion: etcd}) {
		return fmt.Errorf("%+v", v)
	}
	return b.isReady(len(images))
}

func (b *bed) hasCondition(kind, reason string) error {
	object, err := b.get()
	if err != nil {
		return err
	}
	for _, condition := range object.Status.Conditions {
		if condition.Type == kind && condition.Reason == reason {
			return nil
		}
	}
	return fmt.Errorf("%+v", object.Status.Conditions)
}

// areTheSame returns an error once a Pod is another than before.
func (b *bed) areTheSame(before map[string]string) error {
	for pod, uid := range before {
		if b.podUID(pod) != uid {
			return fmt.Errorf("%s is another Pod", pod)
		}
	}
	return nil
}

func (b *bed) wish(version, strategy string) {
	b.t.Helper()
	b.patch(fmt.Sprintf(`{"spec":{"version":%q,"updatePolicy":{"strategy":%q}}}`, version, strategy))
}

func (b *bed) approve() {
	b.t.Helper()
	object, err := b.get()
	if err != nil {
		b.t.Fatal(err)
	}
	b.kubectl("annotate", "hfc", "db", "--overwrite", fmt.Sprintf("holdfast.dev/approved-generation=%d", object.Metadata.Generation))
}

func TestUpgradesAndDowngrades(t *testing.T) {
	b := lay(t, "versions", fmt.Sprintf(`{"spec":{"version":%q}}`, older))
	b.step("up by itself", func(t *testing.T) {
		g := b.guard()
		b.wish(newer, "Automatic")
		within(t, patience, "all run "+newer, func() error { return b.runs(newer, "3.8") })
		g.atLeast(2)
	})
	b.step("two steps up are refused", func(t *testing.T) {
		before := b.uids()
		b.wish("0.4.0", "Automatic")
		within(t, patience, "the condition says so", func() error { return b.hasCondition("Degraded", "VersionRefused") })
		stays(t, 5*time.Second, "nothing is restarted", func() error { return b.areTheSame(before) })
	})
	b.step("down once approved", func(t *testing.T) {
		g, before := b.guard(), b.uids()
		b.wish(older, "Supervised")
		within(t, patience, "the members have agreed on the older version, and it is asked", func() error {
			if v, err := b.versions(); err != nil || v.EtcdVersion != "3.7" {
				return fmt.Errorf("%+v, %v", v, err)
			}
			return b.hasCondition("Progressing", "ApprovalNeeded")
		})
		stays(t, 5*time.Second, "nothing is restarted", func() error { return b.areTheSame(before) })
		b.approve()
		within(t, patience, "all run "+older, func() error { return b.runs(older, "3.7") })
		g.atLeast(2)
	})
	b.step("up as Pods are deleted", func(t *testing.T) {
		before := b.uids()
		b.wish(newer, "OnDelete")
		within(t, patience, "it is left to the user", func() error { return b.hasCondition("Progressing", "UpdateOnDelete") })
		stays(t, 5*time.Second, "nothing is restarted", func() error { return b.areTheSame(before) })
		for pod, uid := range before {
			b.kubectl("delete", "pod", pod, "--wait=false")
			within(t, patience, pod+" is back", func() error {
				if now := b.podUID(pod); now == "" || now == uid {
					return fmt.Errorf("%s is the old one", pod)
				}
				return b.hasCondition("Ready", "AllMembersReady")
			})
		}
		within(t, patience, "all run "+newer, func() error { return b.runs(newer, "3.8") })
	})
	b.step("a way down that is taken back", func(t *testing.T) {
		g := b.guard()
		b.wish(older, "Automatic")
		within(t, patience, "one member runs "+older, func() error {
			images := b.kubectl("get", "pods", "--output", "jsonpath={.items[*].spec.containers[0].image}")
			if !strings.Contains(images, ":"+older) {
				return fmt.Errorf("the images are %s", images)
			}
			return nil
		})
		b.wish(newer, "Automatic")
		within(t, patience, "all run "+newer, func() error { return b.runs(newer, "3.8") })
		g.atLeast(2)
	})
	b.clear()
}
