package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"holdfast/tests/go/member"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

const (
	clusterSize     = 3
	clusterPatience = 60 * time.Second
)

func clusterRows() []row {
	rows := []row{
		{
			name: "cluster-put", work: "put 256 B on 100,000 keys at the leader of three, 1,000 in flight; CPU of all three",
			rounds: 2, figures: requestFigures(4, 8, 3, 5),
			measure: func(b *bench, s *side) (values, error) {
				return s.loadPhase("put", "put", "--keys", "100000", "--seconds", b.seconds(4, 2))
			},
		},
		{
			name: "cluster-put-one", work: "put 256 B by the official Go client, one at a time, at the leader of three",
			rounds:  2,
			figures: requestFigures(1, 1.25, 0, 0),
			measure: func(b *bench, s *side) (values, error) { return goPut(b, s, 1) },
		},
		{
			name: "cluster-get", work: "linearizable get at a follower of three, one key of 256 B out of 10,000, 1,000 in flight",
			figures: requestFigures(4, 8, 0, 0),
			measure: func(b *bench, s *side) (values, error) {
				if _, err := s.load("fill", "--keys", "10000"); err != nil {
					return nil, err
				}
				if err := s.talkToFollower(); err != nil {
					return nil, err
				}
				return s.loadPhase("get", "get", "--keys", "10000", "--seconds", b.seconds(5, 2))
			},
		},
		{
			name: "cluster-failover", work: "kill -9 of the leader, again and again: until the next write is acknowledged; median",
			figures: []figure{{name: "without writes", unit: "ms", demand: 1, aim: 2}},
			measure: func(b *bench, s *side) (values, error) {
				return s.gaps(sized(b, 11, 3), (*side).killLeader)
			},
		},
		{
			name: "cluster-failover-leases", work: "the same, three times, while a million leases are held",
			figures: []figure{{name: "without writes", unit: "ms", demand: 1, aim: 2}},
			measure: func(b *bench, s *side) (values, error) {
				count := strconv.Itoa(sized(b, 1_000_000, 50_000))
				if _, err := s.load("lease-grant", "--keys", count, "--count", count, "--lease-base", strconv.Itoa(expiryLeaseBase),
					"--ttl-seconds", "3600"); err != nil {
					return nil, err
				}
				return s.gaps(3, (*side).killLeader)
			},
		},
		{
			name: "cluster-move", work: "leadership moved by MoveLeader, again and again: longest pause between two writes; median",
			figures: []figure{{name: "without writes", unit: "ms", limit: 50, aimLimit: 10}},
			measure: func(b *bench, s *side) (values, error) {
				return s.gaps(sized(b, 11, 3), (*side).moveLeader)
			},
		},
		{
			name: "cluster-catchup", work: "a follower 1 GB behind comes back, beside 500 puts/s at the leader",
			figures: []figure{
				{name: "caught up after", unit: "s", demand: 2},
				{name: "p99 of puts", unit: "times that of idle", limit: 1.5},
			},
			measure: catchUp,
		},
		{
			name: "cluster-memory", work: "the leader's anonymous memory while a follower misses a million puts of 256 B on 1,000 keys",
			figures: []figure{{name: "growth", unit: "MB", demand: 1}},
			measure: missMany,
		},
	}
	for i := range rows {
		rows[i].members = clusterSize
	}
	return rows
}

// placeMembers reserves the peers' addresses; none for a single member.
func placeMembers(members int) ([]*member.Peers, error) {
	if members == 1 {
		return nil, nil
	}
	ports, err := member.FreePorts(members)
	if err != nil {
		return nil, err
	}
	var places []*member.Peers
	var initial []string
	for i, port := range ports {
		listen := fmt.Sprintf("127.0.0.1:%d", port)
		places = append(places, &member.Peers{Listen: listen, Advertise: "http://" + listen})
		initial = append(initial, fmt.Sprintf("m%d=http://%s", i, listen))
	}
	for _, place := range places {
		place.Cluster = strings.Join(initial, ",")
	}
	return places, nil
}

func statusOf(m *member.Member) (*pb.StatusResponse, error) {
	conn, err := m.Dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
}

// findLeader makes the leader the member that rows talk to.
func (s *side) findLeader() error {
	for deadline := time.Now().Add(clusterPatience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for _, m := range s.all {
			if status, err := statusOf(m); err == nil && status.Leader == status.Header.MemberId && status.Leader != 0 {
				s.Member = m
				return nil
			}
		}
	}
	return fmt.Errorf("no leader after %v", clusterPatience)
}

func (s *side) talkToFollower() error {
	i := slices.IndexFunc(s.all, func(m *member.Member) bool { return m != s.Member })
	s.Member = s.all[i]
	return nil
}

func (s *side) killLeader() error {
	s.Kill()
	return nil
}

func (s *side) moveLeader() error {
	i := slices.IndexFunc(s.all, func(m *member.Member) bool { return m != s.Member })
	status, err := statusOf(s.all[i])
	if err != nil {
		return err
	}
	conn, err := s.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err = pb.NewMaintenanceClient(conn).MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: status.Header.MemberId})
	return err
}

// gaps disturbs the leader again and again beside one writer per member, and returns the median of
// the longest time without an acknowledged write.
func (s *side) gaps(times int, disturb func(*side) error) (values, error) {
	var longest []time.Duration
	for range times {
		if err := s.findLeader(); err != nil {
			return nil, err
		}
		gap, err := s.gap(disturb)
		if err != nil {
			return nil, err
		}
		longest = append(longest, gap)
		for _, m := range s.all {
			select {
			case <-m.Exited():
				if err := m.Restart(); err != nil {
					return nil, err
				}
			default:
			}
		}
		time.Sleep(time.Second) // until all follow
	}
	slices.Sort(longest)
	return values{"without writes": longest[len(longest)/2].Seconds() * 1e3}, nil
}

// settleTime is how long writes are watched after a disturbance: longer than any election.
const (
	settleTime = 4 * time.Second
	writeEvery = 5 * time.Millisecond
)

func (s *side) gap(disturb func(*side) error) (time.Duration, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var mutex sync.Mutex
	last, longest := time.Now(), time.Duration(0)
	acknowledged := func() {
		mutex.Lock()
		defer mutex.Unlock()
		now := time.Now()
		longest, last = max(longest, now.Sub(last)), now
	}
	var writers sync.WaitGroup
	defer writers.Wait()
	defer cancel()
	for i, m := range s.all {
		conn, err := m.Dial()
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		writers.Add(1)
		go func() {
			defer writers.Done()
			write(ctx, conn, i, acknowledged)
		}()
	}
	time.Sleep(500 * time.Millisecond)
	mutex.Lock()
	longest = 0
	mutex.Unlock()
	if err := disturb(s); err != nil {
		return 0, err
	}
	time.Sleep(settleTime)
	acknowledgedSince := func() bool {
		mutex.Lock()
		defer mutex.Unlock()
		return time.Since(last) < time.Second
	}
	for deadline := time.Now().Add(clusterPatience); !acknowledgedSince(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("no write in %v", clusterPatience)
		}
	}
	mutex.Lock()
	defer mutex.Unlock()
	return longest, nil
}

// write begins a put every few milliseconds, whatever became of those before, and tells each
// acknowledgement: one that is lost with a leader holds up nobody.
func write(ctx context.Context, conn *grpc.ClientConn, i int, acknowledged func()) {
	kv := pb.NewKVClient(conn)
	request := &pb.PutRequest{Key: []byte("/gap/" + strconv.Itoa(i)), Value: []byte("v")}
	var puts sync.WaitGroup
	defer puts.Wait()
	for tick := time.NewTicker(writeEvery); ctx.Err() == nil; <-tick.C {
		puts.Add(1)
		go func() {
			defer puts.Done()
			attempt, cancel := context.WithTimeout(ctx, settleTime)
			defer cancel()
			if _, err := kv.Put(attempt, request); err == nil {
				acknowledged()
			}
		}()
	}
}

// catchUp stops a follower, writes a gigabyte, and starts it again.
func catchUp(b *bench, s *side) (values, error) {
	i := slices.IndexFunc(s.all, func(m *member.Member) bool { return m != s.Member })
	follower := s.all[i]
	idle, err := s.load("put", "--keys", "1000", "--rate", "500", "--seconds", b.seconds(8, 3))
	if err != nil {
		return nil, err
	}
	follower.Kill()
	keys := strconv.Itoa(sized(b, 1_000_000, 50_000))
	if _, err := s.load("fill", "--keys", keys, "--value-bytes", "1024"); err != nil {
		return nil, err
	}
	target, err := statusOf(s.Member)
	if err != nil {
		return nil, err
	}
	beside, err := s.startLoad("put", "--keys", "1000", "--rate", "500", "--until-stdin-closes")
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := follower.Spawn(); err != nil {
		return nil, err
	}
	for deadline := began.Add(10 * clusterPatience); ; time.Sleep(20 * time.Millisecond) {
		status, err := statusOf(follower)
		if err == nil && status.Header.Revision >= target.Header.Revision {
			break
		}
		if time.Now().After(deadline) {
			beside.finish()
			return nil, fmt.Errorf("the follower did not catch up; last: %v, %v", status, err)
		}
	}
	took := time.Since(began)
	phases, err := beside.finish()
	if err != nil {
		return nil, err
	}
	return values{"caught up after": took.Seconds(), "p99 of puts": phases["put"].P99 / idle["put"].P99}, nil
}

// missMany measures how the leader grows while a follower is away.
func missMany(b *bench, s *side) (values, error) {
	if _, err := s.load("put", "--keys", "1000", "--count", strconv.Itoa(sized(b, 100_000, 20_000))); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(s.all, func(m *member.Member) bool { return m != s.Member })
	s.all[i].Kill()
	s.all = slices.Delete(s.all, i, i+1)
	before := s.anonMB()
	_, err := s.load("put", "--keys", "1000", "--count", strconv.Itoa(sized(b, 1_000_000, 50_000)))
	return values{"growth": s.anonMB() - before}, err
}
