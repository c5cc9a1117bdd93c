package main

import "strconv"

// heartbeatSeconds is how often a Kubernetes node renews its Lease object.
const heartbeatSeconds = 10

// heartbeatLimitMS is the p99 up to which a node counts as held.
const heartbeatLimitMS = 50

func txnRows() []row {
	figures := []figure{}
	for _, phase := range []string{"create", "update", "delete"} {
		figures = append(figures,
			figure{name: phase, unit: "/s", higher: true, demand: 4, aim: 8},
			figure{name: "CPU per " + phase, unit: "µs", demand: 0})
	}
	return []row{
		{
			name: "txn", work: "Kubernetes' create, guarded update and guarded delete of 1 KiB objects, 1,000 in flight",
			figures: figures,
			measure: txn,
		},
		{
			name: "heartbeat", work: "1 KiB Lease objects of 20,000 nodes updated by guarded Txn, one watcher on all: nodes held with p99 < 50 ms",
			figures: []figure{
				{name: "nodes", unit: "", higher: true, demand: 4},
				{name: "CPU per heartbeat", unit: "µs"},
				{name: "p99", unit: "ms"},
			},
			measure: heartbeat,
		},
	}
}

func txn(b *bench, s *side) (values, error) {
	keys := sized(b, 100_000, 10_000)
	phases, err := s.load("txn", "--keys", strconv.Itoa(keys), "--value-bytes", "1024", "--seconds", b.seconds(5, 2))
	if err != nil {
		return nil, err
	}
	result := values{}
	for name, phase := range phases {
		result[name] = phase.Requests / phase.Seconds
		result["CPU per "+name] = phase.ServerCPU / phase.Requests * 1e6
	}
	return result, nil
}

// heartbeat looks for the highest rate whose p99 is below the limit: in a closed loop latency grows
// with the requests in flight.
func heartbeat(b *bench, s *side) (values, error) {
	best := values{}
	for _, width := range []string{"32", "128", "512", "1500", "4000"} {
		phases, err := s.load("heartbeat", "--prefix", "/nodes-"+width+"/", "--keys", "20000", "--value-bytes", "1024",
			"--in-flight", width, "--seconds", b.seconds(4, 1))
		if err != nil {
			return nil, err
		}
		// As Kubernetes does: otherwise the faster server reaches its quota.
		if err := s.compactAll(); err != nil {
			return nil, err
		}
		beat := phases["heartbeat"]
		nodes := beat.Requests / beat.Seconds * heartbeatSeconds
		if beat.P99 < heartbeatLimitMS && nodes > best["nodes"] {
			best = values{"nodes": nodes, "CPU per heartbeat": beat.ServerCPU / beat.Requests * 1e6, "p99": beat.P99}
		}
	}
	return best, nil
}
