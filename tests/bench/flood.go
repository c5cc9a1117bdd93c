package main

import "strconv"

const (
	floodKeys     = 10_000
	floodRate     = "500" // puts and gets per second, each, beside the flood
	floodInFlight = "16"
)

func floodRows() []row {
	return []row{{
		name: "flood",
		work: "500 puts/s, then the same beside 16 whole lists of 20 MB in flight at all times",
		figures: []figure{
			{name: "p99 of puts before", unit: "ms"},
			{name: "p99 of puts beside lists", unit: "ms"},
			{name: "p99 beside over before", unit: "", limit: 2, aimLimit: 1.5},
			{name: "keys listed meanwhile", unit: "/s", higher: true},
			{name: "peak memory", unit: "MB"},
		},
		measure: flood,
	}}
}

func flood(b *bench, s *side) (values, error) {
	if _, err := s.load("fill", "--keys", strconv.Itoa(floodKeys), "--value-bytes", "2048"); err != nil {
		return nil, err
	}
	puts := []string{"put", "--prefix", "/beside/", "--rate", floodRate, "--connections", "2", "--seconds", b.seconds(8, 2)}
	before, err := s.load(puts...)
	if err != nil {
		return nil, err
	}
	peak := s.watchPeak()
	lists, err := s.startLoad("list-whole", "--keys", strconv.Itoa(floodKeys), "--in-flight", floodInFlight,
		"--connections", floodInFlight, "--until-stdin-closes")
	if err != nil {
		return nil, err
	}
	beside, err := s.load(puts...)
	listed, listsErr := lists.finish()
	memory := peak()
	if err != nil {
		return nil, err
	}
	if listsErr != nil {
		return nil, listsErr
	}
	return values{
		"p99 of puts before":       before["put"].P99,
		"p99 of puts beside lists": beside["put"].P99,
		"p99 beside over before":   beside["put"].P99 / before["put"].P99,
		"keys listed meanwhile":    listed["list"].Requests * floodKeys / listed["list"].Seconds,
		"peak memory":              memory,
	}, nil
}
