// The load driver of LMQ's benchmarks: one measure a run, one line of JSON on stdout.
//
// It owns the measures that rdkafka_performance cannot take: round trips over raw sockets, end-to-end latency at a
// steady rate, group joins, topic creation, connections, the start of a broker, what thousands of partitions and
// connections cost, and what clusters do. It never decides what is good:
// ratios and goals belong to the caller. Every measure is bounded in time or in count.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
	"time"
)

// figures is what one measure found: name to value, units in the name.
type figures map[string]float64

// options are the flags that the measures share.
type options struct {
	bootstrap   string
	topic       string
	partitions  int
	seconds     float64
	count       int
	sizeBytes   int
	connections int
	rate        int
	pids        processes
	command     string
	topics      int
	replication int
	warm        int
	without     int
	since       float64
}

var measures = map[string]func(options) (figures, error){
	"create-topic": createTopic,
	"delete-topic": deleteTopic,
	"round-trips":  roundTrips,
	"end-to-end":   endToEnd,
	"group-join":   groupJoin,
	"partitions":   createPartitions,
	"connections":  openConnections,
	"start":        startBroker,
	"evict":        evict,
	"kfake":        serveKfake,

	"create-many":    createMany,
	"delete-many":    deleteMany,
	"await-leaders":  awaitLeaders,
	"await-replicas": awaitReplicas,
	"metadata":       measureMetadata,
	"spread":         spread,
	"first-record":   firstRecordOf,
	"one-at-a-time":  oneAtATime,
	"follower-lag":   followerLag,
}

func main() {
	if len(os.Args) < 2 || measures[os.Args[1]] == nil {
		names := make([]string, 0, len(measures))
		for name := range measures {
			names = append(names, name)
		}
		sort.Strings(names)
		fmt.Fprintln(os.Stderr, "usage: driver MEASURE [flags], MEASURE one of", names)
		os.Exit(2)
	}
	var o options
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	flags.StringVar(&o.bootstrap, "bootstrap", "127.0.0.1:9092", "addresses of brokers, commas between")
	flags.StringVar(&o.topic, "topic", "bench", "topic to work on")
	flags.IntVar(&o.partitions, "partitions", 1, "partitions of the topic")
	flags.Float64Var(&o.seconds, "seconds", 3, "how long to measure")
	flags.IntVar(&o.count, "count", 1, "how often, or how many")
	flags.IntVar(&o.sizeBytes, "size", 100, "bytes of a record's value")
	flags.IntVar(&o.connections, "connections", 1, "connections, one record in flight each")
	flags.IntVar(&o.rate, "rate", 2000, "records a second")
	pids := flags.String("pid", "0", "the brokers' processes, for their CPU time and memory, commas between; 0: not known")
	flags.StringVar(&o.command, "command", "", "start: JSON array, the program and its arguments")
	flags.IntVar(&o.topics, "topics", 1, "many topics: how many, named by -topic and a number")
	flags.IntVar(&o.replication, "replication", 1, "replication factor of new topics")
	flags.IntVar(&o.warm, "warm", 0, "requests that go before what is measured")
	flags.IntVar(&o.without, "without", -1, "broker id that must not lead")
	flags.Float64Var(&o.since, "since", 0, "when the time to measure began, in milliseconds since 1970; 0: now")
	_ = flags.Parse(os.Args[2:])
	var err error
	if o.pids, err = parseProcesses(*pids); err != nil {
		fmt.Fprintln(os.Stderr, "-pid:", err)
		os.Exit(2)
	}

	found, err := measures[os.Args[1]](o)
	if err != nil {
		fmt.Fprintf(os.Stderr, "driver %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(found)
}

// quantile gives the value below which the share q of the sorted samples lies, in milliseconds.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	index := int(q * float64(len(sorted)))
	if index >= len(sorted) {
		index = len(sorted) - 1
	}
	return milliseconds(sorted[index])
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

func sortDurations(samples []time.Duration) {
	sort.Slice(samples, func(i, j int) bool { return samples[i] < samples[j] })
}
