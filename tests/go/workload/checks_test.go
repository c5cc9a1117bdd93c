package workload

import (
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func events(revisions ...int64) (events []*clientv3.Event) {
	for _, revision := range revisions {
		events = append(events, &clientv3.Event{Kv: &mvccpb.KeyValue{ModRevision: revision}})
	}
	return events
}

func TestWatcherSeesGapsRepetitionsAndDisorder(t *testing.T) {
	for name, test := range map[string]struct {
		answers [][]*clientv3.Event
		good    bool
	}{
		"in order":                  {[][]*clientv3.Event{events(2, 3), events(4)}, true},
		"two events of a revision":  {[][]*clientv3.Event{events(2, 2, 3)}, true},
		"a gap":                     {[][]*clientv3.Event{events(2, 4)}, false},
		"a gap at the start":        {[][]*clientv3.Event{events(3)}, false},
		"a repetition":              {[][]*clientv3.Event{events(2, 3), events(3, 4)}, false},
		"disorder":                  {[][]*clientv3.Event{events(2, 3, 2)}, false},
		"a revision in two answers": {[][]*clientv3.Event{events(2), events(2)}, false},
	} {
		w := &watcher{revision: 1}
		var err error
		for _, answer := range test.answers {
			if err == nil {
				err = w.take(answer)
			}
		}
		if (err == nil) != test.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func at(milliseconds int) time.Time {
	return time.Unix(1_000_000, 0).Add(time.Duration(milliseconds) * time.Millisecond)
}

func TestLongestGapIsFound(t *testing.T) {
	times := []time.Time{at(200), at(0), at(700), at(10), at(720)} // answers come in any order
	for _, test := range []struct{ since, until, begin, end int }{
		{0, 730, 200, 700},
		{500, 730, 200, 700}, // it began before
		{710, 730, 700, 720},
		{705, 2000, 720, 2000}, // it still lasts
	} {
		begin, end := longestGap(slices.Clone(times), at(test.since), at(test.until))
		if begin != at(test.begin) || end != at(test.end) {
			t.Errorf("since %d: from %v to %v, want %d to %d", test.since, begin, end, test.begin, test.end)
		}
	}
}

func TestMachinesPartOfAGapCountsOnce(t *testing.T) {
	m := &metronome{stops: []standstill{{at(350), at(550)}, {at(300), at(500)}, {at(900), at(950)}, {at(100), at(210)}}}
	if stood := m.stoodStill(at(200), at(700)); stood != 260*time.Millisecond {
		t.Fatalf("the machine stood still for %v", stood)
	}
}

func TestGapsAreJudgedByKind(t *testing.T) {
	long := Gap{Length: 1600 * time.Millisecond}
	for name, test := range map[string]struct {
		severity Severity
		gaps     []Gap
		want     string
	}{
		"planned":                   {Unnoticed, []Gap{long}, "limit is 1.5s"},
		"the machine's":             {Unnoticed, []Gap{{long.Length, 200 * time.Millisecond}}, ""},
		"one election of three":     {LeaderLost, []Gap{{}, {}, long}, ""},
		"two elections of three":    {LeaderLost, []Gap{{}, long, long}, "median"},
		"one election far too long": {LeaderLost, []Gap{{}, {}, {Length: 4 * time.Second}}, "limit is 3s"},
		"without a quorum":          {QuorumLost, []Gap{{Length: time.Minute}}, ""},
	} {
		g := Gaps{Election: 500 * time.Millisecond}
		for _, gap := range test.gaps {
			g.Add("fault", test.severity, gap)
		}
		err := g.Judge()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}
