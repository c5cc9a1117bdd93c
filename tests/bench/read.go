package main

import (
	"fmt"
	"strconv"
)

func readRows() []row {
	rows := []row{
		getRow("get-linearizable"),
		getRow("get-serializable", "--serializable"),
	}
	for _, keys := range []int{10_000, 100_000} {
		for _, how := range []string{"paged", "whole", "stream"} {
			rows = append(rows, listRow(keys, how))
		}
	}
	return rows
}

func getRow(name string, flags ...string) row {
	return row{
		name: name, work: "one key of 256 B out of 10,000, 1,000 in flight",
		figures: requestFigures(0, 0, 4, 8),
		measure: func(b *bench, s *side) (values, error) {
			if _, err := s.load("fill", "--keys", "10000"); err != nil {
				return nil, err
			}
			return s.loadPhase("get", append(flags, "get", "--keys", "10000", "--seconds", b.seconds(5, 2))...)
		},
	}
}

func listRow(keys int, how string) row {
	return row{
		name: fmt.Sprintf("list-%dk-%s", keys/1000, how),
		work: fmt.Sprintf("all of %d keys of 1 KiB, %s, one list at a time", keys, listWork[how]),
		figures: []figure{
			{name: "keys", unit: "/s", higher: true, demand: 3, aim: 5},
			{name: "CPU per key", unit: "µs"},
			{name: "peak memory", unit: "MB", demand: 3},
		},
		measure: func(b *bench, s *side) (values, error) {
			count := strconv.Itoa(keys)
			if _, err := s.load("fill", "--keys", count, "--value-bytes", "1024"); err != nil {
				return nil, err
			}
			peak := s.watchPeak()
			phases, err := s.load("list-"+how, "--keys", count, "--in-flight", "1", "--seconds", b.seconds(4, 1))
			memory := peak()
			if err != nil {
				return nil, err
			}
			list := phases["list"]
			listed := list.Requests * float64(keys)
			return values{
				"keys":        listed / list.Seconds,
				"CPU per key": list.ServerCPU / listed * 1e6,
				"peak memory": memory,
			}, nil
		},
	}
}

var listWork = map[string]string{
	"paged":  "in pages of 500",
	"whole":  "in one answer",
	"stream": "by RangeStream",
}
