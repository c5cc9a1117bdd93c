package main

import (
	"context"
	"io"
	"net"
	"strconv"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

const (
	// settle lets the server's background work after a load end before memory is read.
	settle = 5 * time.Second
	// besideRate is the puts per second whose latency is watched; far from saturation.
	besideRate = "2000"
	// besideMinimum is the shortest window: with fewer puts a p99.9 would mean nothing.
	besideMinimum = 3 * time.Second
)

func millionRows() []row {
	return []row{{
		name: "million", work: "a store of 1,000,000 keys of 256 B: memory, restart, snapshot, compaction and defragmentation after 500,000 overwrites",
		figures: []figure{
			{name: "anonymous memory", unit: "MB", demand: 2, aim: 3},
			{name: "anonymous memory after restart", unit: "MB", demand: 2, aim: 3},
			{name: "restart to first read", unit: "s", demand: 5, aim: 20},
			{name: "snapshot", unit: "s", demand: 2, aim: 3},
			{name: "idle p99.9 of puts", unit: "ms"},
			{name: "compaction", unit: "s"},
			{name: "compaction: p99.9 of puts over idle", unit: "", limit: 2},
			{name: "compaction: longest put", unit: "ms", limit: 20, aimLimit: 5},
			{name: "defragmentation", unit: "s"},
			{name: "defragmentation: p99.9 of puts over idle", unit: "", limit: 2},
			{name: "defragmentation: longest put", unit: "ms", limit: 20, aimLimit: 5},
		},
		measure: million,
	}}
}

func million(b *bench, s *side) (values, error) {
	keys := sized(b, 1_000_000, 50_000)
	result := values{}
	if _, err := s.load("fill", "--keys", strconv.Itoa(keys)); err != nil {
		return nil, err
	}
	time.Sleep(settle)
	result["anonymous memory"] = s.anonMB()
	restart, err := s.timeRestart()
	if err != nil {
		return nil, err
	}
	result["restart to first read"] = restart.Seconds()
	time.Sleep(settle)
	result["anonymous memory after restart"] = s.anonMB()
	snapshot, err := s.timeSnapshot()
	if err != nil {
		return nil, err
	}
	result["snapshot"] = snapshot.Seconds()
	if _, err := s.load("fill", "--keys", strconv.Itoa(keys/2)); err != nil {
		return nil, err
	}
	time.Sleep(settle)
	idle, _, err := s.besidePuts(func() error { return nil })
	if err != nil {
		return nil, err
	}
	result["idle p99.9 of puts"] = idle.P999
	return result, s.measureUpkeep(result)
}

// measureUpkeep compacts and defragments beside puts.
func (s *side) measureUpkeep(result values) error {
	conn, err := s.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	idle := result["idle p99.9 of puts"]
	steps := []struct {
		name string
		work func() error
	}{
		{"compaction", s.compactAll},
		{"defragmentation", func() error {
			_, err := pb.NewMaintenanceClient(conn).Defragment(context.Background(), &pb.DefragmentRequest{})
			return err
		}},
	}
	for _, step := range steps {
		beside, took, err := s.besidePuts(step.work)
		if err != nil {
			return err
		}
		result[step.name] = took.Seconds()
		result[step.name+": p99.9 of puts over idle"] = beside.P999 / idle
		result[step.name+": longest put"] = beside.Max
	}
	return nil
}

// compactAll compacts at the newest revision and waits until the space is free.
func (s *side) compactAll() error {
	revision, err := s.revision()
	if err != nil {
		return err
	}
	conn, err := s.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = pb.NewKVClient(conn).Compact(context.Background(), &pb.CompactionRequest{Revision: revision, Physical: true})
	return err
}

// besidePuts puts at besideRate while work runs, at least for besideMinimum. Returns the puts' report
// and how long work took.
func (s *side) besidePuts(work func() error) (report, time.Duration, error) {
	job, err := s.startLoad("put", "--prefix", "/beside/", "--keys", "1000", "--rate", besideRate, "--until-stdin-closes")
	if err != nil {
		return report{}, 0, err
	}
	time.Sleep(200 * time.Millisecond) // connected and in its stride
	began := time.Now()
	workErr := work()
	took := time.Since(began)
	time.Sleep(besideMinimum - took)
	phases, err := job.finish()
	if workErr != nil {
		return report{}, 0, workErr
	}
	return phases["put"], took, err
}

// timeRestart stops the server and measures from the start of its process to the first answer to a
// linearizable read.
func (s *side) timeRestart() (time.Duration, error) {
	if err := s.Stop(); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := s.Spawn(); err != nil {
		return 0, err
	}
	for { // the gRPC client would back off between its attempts
		conn, err := net.Dial("tcp", s.ClientAddr())
		if err == nil {
			conn.Close()
			break
		}
		select {
		case <-s.Exited():
			return 0, s.WaitReady() // says why
		case <-time.After(time.Millisecond):
		}
	}
	err := s.WaitReady()
	return time.Since(began), err
}

// timeSnapshot reads a whole snapshot and drops it.
func (s *side) timeSnapshot() (time.Duration, error) {
	conn, err := s.Dial()
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	began := time.Now()
	stream, err := pb.NewMaintenanceClient(conn).Snapshot(context.Background(), &pb.SnapshotRequest{})
	if err != nil {
		return 0, err
	}
	for {
		if _, err := stream.Recv(); err == io.EOF {
			return time.Since(began), nil
		} else if err != nil {
			return 0, err
		}
	}
}
