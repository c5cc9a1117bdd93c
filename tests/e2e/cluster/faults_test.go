package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"holdfast/tests/go/cluster"
	"holdfast/tests/go/workload"
)

// faultLimit bounds one fault and the way back from it.
const faultLimit = 2 * cluster.Patience

// storm is a run of faults under load.
type storm struct {
	suite
	dice *rand.Rand
	load *workload.Workload
	gaps workload.Gaps
}

// fault is one kind of trouble: act makes it, and heal ends it. What it makes of the time without
// writes is judged by its severity.
type fault struct {
	name     string
	weight   int
	severity workload.Severity
	act      func(*storm) (heal func(), err error)
}

// notWithEtcd is what an etcd 3.7.1 does not get over: its streams' read timeout has no effect (its
// transport sets Dial beside DialContext, which comes first), so it waits on a silent one for ever.
const notWithEtcd = "connections forgotten"

var faults = []fault{
	{"leader killed", 3, workload.LeaderLost, (*storm).killLeader},
	{"follower killed", 2, workload.Unnoticed, (*storm).killFollower},
	{"leader terminated", 2, workload.Unnoticed, (*storm).stopLeader},
	{"leader paused", 2, workload.LeaderLost, (*storm).pauseLeader},
	{"follower paused", 1, workload.Unnoticed, (*storm).pauseFollower},
	{"leader cut off", 2, workload.LeaderLost, (*storm).cutLeader},
	{"leader not heard", 2, workload.LeaderLost, (*storm).muteLeader},
	{"leader deaf", 2, workload.LeaderLost, (*storm).deafenLeader},
	{"leader and a follower apart", 1, workload.LeaderLost, (*storm).cutOneLink},
	{"follower cut off", 1, workload.Unnoticed, (*storm).cutFollower},
	{"all links delayed", 1, workload.Unnoticed, (*storm).delayAll},
	{"a follower's link slow", 1, workload.Unnoticed, (*storm).slowFollower},
	{notWithEtcd, 1, workload.LeaderLost, (*storm).forgetConnections},
	{"connections reset", 1, workload.Unnoticed, (*storm).resetConnections},
	{"leadership moved", 2, workload.Unnoticed, (*storm).moveLeader},
	{"follower far behind", 2, workload.Unnoticed, (*storm).farBehind},
	{"member replaced", 1, workload.Unnoticed, (*storm).replaceMember},
	{"leader replaced", 1, workload.Unnoticed, (*storm).replaceLeader},
	{"disk lost", 1, workload.Unnoticed, (*storm).loseDisk},
	{"majority killed", 1, workload.QuorumLost, (*storm).killMajority},
	{"all killed", 1, workload.QuorumLost, (*storm).killAll},
}

// snapshotFlags make a member that was away for a second need a snapshot.
var snapshotFlags = []string{"--snapshot-count=100", "--snapshot-catchup-entries=100"}

func TestFaultsOnThreeMembers(t *testing.T) { runStorms(t, 3) }
func TestFaultsOnFiveMembers(t *testing.T)  { runStorms(t, 5) }

func runStorms(t *testing.T, size int) {
	for run := range *runsFlag {
		seed := seed() + uint64(run)
		fmt.Printf("seed %d: %d members (%s), %d faults\n", seed, size, *binaryFlag, *faultsFlag)
		s := start(t, size, time.Duration(*faultsFlag)*time.Minute, snapshotFlags...)
		st := &storm{suite: s, dice: rand.New(rand.NewPCG(seed, 1)), load: s.load(seed), gaps: workload.Gaps{Election: s.Election()}}
		for i, f := range drawFaults(st.dice, *faultsFlag) {
			began := time.Now()
			ctx, cancel := context.WithTimeout(s.ctx, faultLimit)
			st.ctx = ctx
			gap, err := st.one(f)
			cancel()
			if err != nil {
				t.Fatalf("fault %d, %s: %v (seed %d)", i+1, f.name, err, seed)
			}
			fmt.Printf("fault %2d %-28s over after %5.1f s, %4d ms without a write\n", i+1, f.name, time.Since(began).Seconds(), gap.Length.Milliseconds())
		}
		s.must(s.CheckMemberLists(s.ctx))
		s.finish(st.load)
		fmt.Print(st.gaps.Table())
		if err := st.gaps.Judge(); err != nil {
			t.Errorf("%v (seed %d)", err, seed)
		}
	}
}

// drawFaults draws kinds by weight, and no kind again before each of its weight has had its turn.
func drawFaults(dice *rand.Rand, count int) []fault {
	var deck, drawn []fault
	for len(drawn) < count {
		if len(deck) == 0 {
			for _, f := range faults {
				for range f.weight {
					if strings.Contains(f.name, *kindFlag) && (f.name != notWithEtcd || !strings.Contains(*binaryFlag, "etcd")) {
						deck = append(deck, f)
					}
				}
			}
			dice.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		drawn, deck = append(drawn, deck[0]), deck[1:]
	}
	return drawn
}

// one makes a fault, lets it last, heals it, and waits until the cluster is whole.
func (s *storm) one(f fault) (gap workload.Gap, err error) {
	began := time.Now()
	heal, err := f.act(s)
	if err != nil {
		return gap, err
	}
	if heal != nil {
		s.last(s.Election(), 4*s.Election())
		heal()
	}
	if err := s.WaitHealthy(s.ctx); err != nil {
		return gap, err
	}
	if err := s.load.AwaitWrites(s.ctx, 50); err != nil {
		return gap, err
	}
	gap = s.load.LongestGap(began)
	s.gaps.Add(f.name, f.severity, gap)
	_, err = s.CheckEqual(s.ctx)
	return gap, err
}

// last waits for a time between the two: how long a fault lasts is part of the fault.
func (s *storm) last(least, most time.Duration) {
	time.Sleep(least + time.Duration(s.dice.Int64N(int64(most-least))))
}

func (s *storm) follower() *cluster.Node {
	followers := s.followers()
	return followers[s.dice.IntN(len(followers))]
}

func (s *storm) killed(nodes ...*cluster.Node) (func(), error) {
	for _, n := range nodes {
		s.Kill(n)
	}
	return func() {
		for _, n := range nodes {
			s.must(s.Spawn(n))
		}
	}, nil
}

func (s *storm) killLeader() (func(), error)   { return s.killed(s.leader()) }
func (s *storm) killFollower() (func(), error) { return s.killed(s.follower()) }
func (s *storm) killAll() (func(), error)      { return s.killed(s.Voters()...) }
func (s *storm) killMajority() (func(), error) {
	voters := s.Voters()
	s.dice.Shuffle(len(voters), func(i, j int) { voters[i], voters[j] = voters[j], voters[i] })
	return s.killed(voters[:len(voters)/2+1]...)
}

func (s *storm) stopLeader() (func(), error) {
	leader := s.leader()
	err := s.Stop(leader)
	return func() { s.must(s.Spawn(leader)) }, err
}

func (s *storm) paused(n *cluster.Node) (func(), error) {
	err := s.Pause(n)
	return func() { s.must(s.Resume(n)) }, err
}

func (s *storm) pauseLeader() (func(), error)   { return s.paused(s.leader()) }
func (s *storm) pauseFollower() (func(), error) { return s.paused(s.follower()) }

// apart does something to the links between one member and each other, until it is healed.
func (s *storm) apart(n *cluster.Node, do func(n, other string)) (func(), error) {
	for _, other := range s.Nodes() {
		if other != n {
			do(n.Name(), other.Name())
		}
	}
	return s.Network.Heal, nil
}

func (s *storm) cutLeader() (func(), error)   { return s.apart(s.leader(), s.Network.Cut) }
func (s *storm) cutFollower() (func(), error) { return s.apart(s.follower(), s.Network.Cut) }
func (s *storm) muteLeader() (func(), error)  { return s.apart(s.leader(), s.Network.Hold) }
func (s *storm) deafenLeader() (func(), error) {
	return s.apart(s.leader(), func(leader, other string) { s.Network.Hold(other, leader) })
}

func (s *storm) cutOneLink() (func(), error) {
	s.Network.Cut(s.leader().Name(), s.follower().Name())
	return s.Network.Heal, nil
}

func (s *storm) delayAll() (func(), error) {
	delay := time.Duration(1+s.dice.IntN(20)) * time.Millisecond
	for _, a := range s.Nodes() {
		s.apart(a, func(a, b string) { s.Network.Delay(a, b, delay, delay) })
	}
	return s.Network.Heal, nil
}

func (s *storm) slowFollower() (func(), error) {
	return s.apart(s.follower(), func(follower, other string) {
		s.Network.Slow(follower, other, 50_000)
		s.Network.Slow(other, follower, 50_000)
	})
}

func (s *storm) forgetConnections() (func(), error) {
	return s.apart(s.leader(), s.Network.HalfOpen)
}

func (s *storm) resetConnections() (func(), error) {
	return s.apart(s.leader(), s.Network.Break)
}

func (s *storm) moveLeader() (func(), error) {
	return nil, s.MoveLeader(s.ctx, s.follower())
}

// farBehind leaves a follower down until the others have dropped what it misses, so that it needs a
// snapshot.
func (s *storm) farBehind() (func(), error) {
	follower := s.follower()
	s.Kill(follower)
	err := s.load.AwaitWrites(s.ctx, 500)
	return func() { s.must(s.Spawn(follower)) }, err
}

// replaced adds a member, as a learner first, and then removes another.
func (s *storm) replaced(choose func() *cluster.Node) (func(), error) {
	if err := s.load.Compact(s.ctx, 500); err != nil {
		return nil, err
	}
	choices := programs(len(s.Voters()) + 1)
	added, err := s.Add(s.ctx, choices[s.dice.IntN(len(choices))], true)
	if err != nil {
		return nil, err
	}
	if err := s.WaitServing(s.ctx, added); err != nil {
		return nil, err
	}
	if err := s.Promote(s.ctx, added); err != nil {
		return nil, err
	}
	gone := choose()
	if err := s.Remove(s.ctx, gone); err != nil {
		return nil, err
	}
	word, err := s.LastWord(s.ctx, gone)
	s.t.Logf("the last word of %s: %s", gone.Name(), word)
	return nil, err
}

func (s *storm) replaceMember() (func(), error) { return s.replaced(s.follower) }
func (s *storm) replaceLeader() (func(), error) { return s.replaced(s.leader) }

// loseDisk takes a follower and its disk away for good and puts an empty member in its place.
func (s *storm) loseDisk() (func(), error) {
	lost := s.follower()
	s.Forget(lost)
	if err := s.Remove(s.ctx, lost); err != nil {
		return nil, err
	}
	added, err := s.Add(s.ctx, programs(1)[0], true)
	if err != nil {
		return nil, err
	}
	return nil, s.Promote(s.ctx, added)
}
