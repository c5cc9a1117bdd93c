package page

import (
	"fmt"
	"net/http"
	"time"
)

// state is what a made-up cluster shows.
type state struct {
	health  string
	weight  int // of a hundred
	adapt   func(*made)
	summary string
}

// made is a cluster's status while it is being made up.
type made struct {
	ns, name   string
	version    string
	members    []map[string]any
	conditions map[string][3]string // status, reason, message by type
	operation  map[string]any
	backup     map[string]any
	lostSince  string
	pods       int // members that answer
}

func at(offset time.Duration) string { return time.Now().Add(offset).UTC().Format(time.RFC3339) }

var states = []state{
	{health: "down", weight: 1, adapt: func(m *made) {
		m.pods = 1
		for _, member := range m.members {
			member["role"], member["ready"] = "Unknown", false
			member["notReadySince"] = at(-11 * time.Minute)
		}
		m.lostSince = at(-11 * time.Minute)
		m.conditions["QuorumHealthy"] = [3]string{"False", "NoQuorum", "no quorum of members answers: writes and linearizable reads fail"}
		m.conditions["Ready"] = [3]string{"False", "NoQuorum", "no quorum of members answers"}
		m.conditions["Degraded"] = [3]string{"True", "MembersMissing", "taking no part: " + m.name + "-1, " + m.name + "-2"}
	}},
	{health: "attention", weight: 3, adapt: func(m *made) {
		m.pods = 2
		m.members[2]["ready"], m.members[2]["notReadySince"] = false, at(-4*time.Minute)
		m.conditions["Degraded"] = [3]string{"True", "MembersMissing", "taking no part: " + m.name + "-2 (back-off restarting failed container)"}
		m.conditions["Ready"] = [3]string{"False", "MembersNotReady", "2 of 3 members take part"}
	}},
	{health: "attention", weight: 2, adapt: func(m *made) {
		m.conditions["BackupHealthy"] = [3]string{"False", "TooOld", "the last proved backup is 3 days old; one is wanted every day"}
	}},
	{health: "attention", weight: 2, adapt: func(m *made) {
		for _, member := range m.members {
			member["certNotAfter"] = at(4 * 24 * time.Hour)
		}
	}},
	{health: "working", weight: 4, adapt: func(m *made) {
		joiner := memberRow(m, 3)
		joiner["role"], joiner["ready"], joiner["zone"] = "Learner", false, "zone-a"
		m.members = append(m.members, joiner)
		m.operation = map[string]any{"type": "Grow", "member": m.name + "-3", "startedAt": at(-90 * time.Second)}
		m.conditions["Progressing"] = [3]string{"True", "Grow", "Grow of " + m.name + "-3"}
		m.conditions["Ready"] = [3]string{"False", "Grow", "3 of 5 members take part"}
	}},
	{health: "working", weight: 4, adapt: func(m *made) {
		m.operation = map[string]any{"type": "Restart", "member": m.name + "-1", "startedAt": at(-20 * time.Second)}
		m.conditions["Progressing"] = [3]string{"True", "Restart", "Restart of " + m.name + "-1"}
		m.conditions["Upgrading"] = [3]string{"True", "VersionsDiffer", "not on 0.2.0 yet: " + m.name + "-0, " + m.name + "-1"}
	}},
	{health: "asleep", weight: 3, adapt: func(m *made) {
		m.pods, m.members = 0, nil
		m.conditions["Hibernated"] = [3]string{"True", "Hibernated", "spec.replicas is 0: no member runs, the volumes are kept"}
		m.conditions["Ready"] = [3]string{"False", "Hibernated", "no member is wanted"}
		m.conditions["QuorumHealthy"] = [3]string{"Unknown", "Hibernated", ""}
	}},
	{health: "healthy", weight: 81, adapt: func(*made) {}},
}

func stateOf(i int) state {
	at := i * 37 % 100
	for _, s := range states {
		if at < s.weight {
			return s
		}
		at -= s.weight
	}
	panic("weights do not sum to a hundred")
}

func memberRow(m *made, ordinal int) map[string]any {
	role := "Follower"
	if ordinal == 0 {
		role = "Leader"
	}
	return map[string]any{"name": fmt.Sprintf("%s-%d", m.name, ordinal), "id": fmt.Sprintf("8e9e05c5216469%02x", ordinal), "role": role,
		"ready": true, "version": m.version, "zone": fmt.Sprintf("zone-%c", 'a'+ordinal%3), "node": fmt.Sprintf("node-%d", ordinal%3),
		"certNotAfter": at(time.Duration(20+7*ordinal) * 24 * time.Hour)}
}

func placeOf(i int) (ns, name string) {
	ns = namespaces[i%len(namespaces)]
	name = names[i/len(namespaces)%len(names)]
	if round := i / len(namespaces) / len(names); round > 0 {
		name = fmt.Sprintf("%s-%d", name, round+1)
	}
	return ns, name
}

func makeCluster(i int) error {
	s := stateOf(i)
	m := &made{version: "0.1.0", pods: 3, conditions: map[string][3]string{
		"Ready":         {"True", "AllMembersReady", "all 3 members take part"},
		"QuorumHealthy": {"True", "QuorumAnswers", "a quorum of members answers"},
		"Progressing":   {"False", "AsDeclared", "everything is as declared"},
		"Degraded":      {"False", "NothingMissing", "every member takes part"},
		"AlarmActive":   {"False", "NoAlarm", "no member raises an alarm"},
		"TLSReady":      {"True", "AsDeclared", "every certificate is as declared and in use"},
	}}
	m.ns, m.name = placeOf(i)
	for ordinal := range 3 {
		m.members = append(m.members, memberRow(m, ordinal))
	}
	if i%3 == 0 {
		m.backup = map[string]any{"name": m.name + "-nightly-29", "uri": "s3://backups/" + m.name, "time": at(-time.Duration(i%22+1) * time.Hour), "revision": 48211}
		m.conditions["BackupHealthy"] = [3]string{"True", "Proved", "the last backup was restored and compared"}
	}
	s.adapt(m)
	replicas := 3
	if s.health == "asleep" {
		replicas = 0
	}
	path := "/apis/holdfast.dev/v1alpha1/namespaces/" + m.ns + "/holdfastclusters"
	err := post(path, map[string]any{"apiVersion": "holdfast.dev/v1alpha1", "kind": "HoldfastCluster", "metadata": named(m.name),
		"spec": map[string]any{"replicas": replicas, "storage": map[string]any{"size": "2Gi"}}})
	if err != nil {
		return err
	}
	answer, err := stage.Call(http.MethodPatch, path+"/"+m.name+"/status", "application/merge-patch+json", map[string]any{"status": m.status()})
	if err != nil || answer.Status != http.StatusOK {
		return fmt.Errorf("status of %s: %d %s %v", m.name, answer.Status, answer.Body, err)
	}
	for ordinal := range m.pods {
		if err := m.makePod(ordinal); err != nil {
			return err
		}
	}
	return m.makeEvents()
}

func (m *made) status() map[string]any {
	ready, leader := 0, ""
	for _, each := range m.members {
		if each["ready"] == true {
			ready++
		}
		if each["role"] == "Leader" {
			leader = each["name"].(string)
		}
	}
	var conditions []any
	for kind, said := range m.conditions {
		conditions = append(conditions, map[string]any{"type": kind, "status": said[0], "reason": said[1], "message": said[2], "lastTransitionTime": at(-35 * time.Minute)})
	}
	status := map[string]any{"clusterID": "cdf818194e3a8c32", "nextOrdinal": 3, "members": m.members, "readyReplicas": ready,
		"leader": leader, "currentVersion": m.version, "conditions": conditions}
	if m.operation != nil {
		status["operation"] = m.operation
	}
	if m.backup != nil {
		status["lastBackup"] = m.backup
	}
	if m.lostSince != "" {
		status["quorumLostSince"] = m.lostSince
	}
	return status
}

func (m *made) makePod(ordinal int) error {
	name := fmt.Sprintf("%s-%d", m.name, ordinal)
	url := func(n int) string { return fmt.Sprintf("http://%s-%d.%s-peers.%s.svc:2380", m.name, n, m.name, m.ns) }
	initial := ""
	for n := range 3 {
		initial += fmt.Sprintf(",%s-%d=%s", m.name, n, url(n))
	}
	return post("/api/v1/namespaces/"+m.ns+"/pods", map[string]any{"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": name, "labels": map[string]any{"holdfast.dev/cluster": m.name}},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "holdfast", "image": "holdfast", "args": []any{
			"--name=" + name, "--initial-advertise-peer-urls=" + url(ordinal), "--initial-cluster=" + initial[1:], "--initial-cluster-state=new"}}}}})
}

func (m *made) makeEvents() error {
	for i, each := range [][3]string{
		{"Normal", "PromoteLearner", "PromoteLearner " + m.name + "-2"},
		{"Normal", "AddLearner", "AddLearner " + m.name + "-2"},
		{"Warning", "MemberLost", m.name + "-2 has not answered for a minute"},
	} {
		err := post("/apis/events.k8s.io/v1/namespaces/"+m.ns+"/events", map[string]any{"apiVersion": "events.k8s.io/v1", "kind": "Event",
			"metadata": named(fmt.Sprintf("%s.%d", m.name, i)), "type": each[0], "reason": each[1], "action": "Reconcile", "note": each[2],
			"eventTime":           time.Now().Add(-time.Duration(i*7+1) * time.Minute).UTC().Format("2006-01-02T15:04:05.000000Z"),
			"reportingController": "holdfast.dev/operator", "reportingInstance": "test",
			"regarding": map[string]any{"apiVersion": "holdfast.dev/v1alpha1", "kind": "HoldfastCluster", "namespace": m.ns, "name": m.name}})
		if err != nil {
			return err
		}
	}
	return nil
}
