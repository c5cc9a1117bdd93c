package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

const (
	expiringTTLSeconds = 40 // longer than granting all of them and their keys takes
	expiryLeaseBase    = 1 << 20
	expiryRate         = "1000" // puts per second beside the expiry
)

func leaseRows() []row {
	return []row{
		{
			name: "lease-grant", work: "LeaseGrant, 1,000 in flight",
			figures: requestFigures(4, 0, 0, 0),
			measure: func(b *bench, s *side) (values, error) {
				return s.loadPhase("lease-grant", "lease-grant", "--seconds", b.seconds(4, 1))
			},
		},
		{
			name: "lease-keepalive", work: "LeaseKeepAlive on 1,000 streams, one in flight on each",
			figures: requestFigures(4, 0, 0, 0),
			measure: func(b *bench, s *side) (values, error) {
				return s.loadPhase("lease-keepalive", "lease-keepalive", "--seconds", b.seconds(4, 1))
			},
		},
		{
			name: "lease-expiry", work: "100,000 leases with a key each expire together beside 1,000 puts/s; 15 s from the first expiry",
			figures: []figure{
				{name: "expired", unit: "/s", higher: true},
				{name: "p99 of puts before", unit: "ms"},
				{name: "p99 of puts meanwhile", unit: "ms"},
				{name: "p99 meanwhile over before", unit: "", limit: 1.5, aimLimit: 1.1},
				{name: "longest put meanwhile", unit: "ms"},
			},
			measure: leaseExpiry,
		},
	}
}

func leaseExpiry(b *bench, s *side) (values, error) {
	leases := sized(b, 100_000, 5_000)
	count, base := strconv.Itoa(leases), strconv.Itoa(expiryLeaseBase)
	puts := []string{"put", "--prefix", "/beside/", "--rate", expiryRate}
	before, err := s.load(append(puts, "--seconds", b.seconds(8, 2))...)
	if err != nil {
		return nil, err
	}
	if _, err := s.load("lease-grant", "--keys", count, "--count", count, "--lease-base", base,
		"--ttl-seconds", strconv.Itoa(expiringTTLSeconds)); err != nil {
		return nil, err
	}
	// Granted over some seconds, they would expire over as many: the last renewal aligns nothing, so
	// the window begins with the first expiry, when the last is at most the granting time away.
	granted := time.Now()
	if _, err := s.load("fill", "--keys", count, "--lease-base", base, "--prefix", "/expiring/"); err != nil {
		return nil, err
	}
	conn, err := s.Dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	remaining := func() (int, error) {
		answer, err := pb.NewLeaseClient(conn).LeaseLeases(context.Background(), &pb.LeaseLeasesRequest{})
		return len(answer.GetLeases()), err
	}
	for { // the first expiry
		left, err := remaining()
		if err != nil {
			return nil, err
		}
		if left < leases {
			break
		}
		if time.Since(granted) > 2*expiringTTLSeconds*time.Second {
			return nil, fmt.Errorf("no lease has expired %v after the last grant", time.Since(granted))
		}
		time.Sleep(50 * time.Millisecond)
	}
	began := time.Now()
	meanwhile, err := s.load(append(puts, "--seconds", b.seconds(15, 5))...)
	if err != nil {
		return nil, err
	}
	elapsed := time.Since(began)
	left, err := remaining()
	if err != nil {
		return nil, err
	}
	return values{
		"expired":                   float64(leases-left) / elapsed.Seconds(),
		"p99 of puts before":        before["put"].P99,
		"p99 of puts meanwhile":     meanwhile["put"].P99,
		"p99 meanwhile over before": meanwhile["put"].P99 / before["put"].P99,
		"longest put meanwhile":     meanwhile["put"].Max,
	}, nil
}
