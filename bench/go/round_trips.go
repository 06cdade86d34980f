package main

import (
	"io"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// roundTrips: each connection sends one record, waits for its answer (acks=all), and sends the next.
func roundTrips(o options) (figures, error) {
	type outcome struct {
		samples []time.Duration
		err     error
	}
	outcomes := make([]outcome, o.connections)
	connections := make([]io.ReadWriteCloser, o.connections)
	for i := range connections {
		var err error
		if o.connections == 1 {
			connections[i], err = dialBlocking(o.bootstrap)
		} else {
			connections[i], err = net.Dial("tcp", o.bootstrap)
		}
		if err != nil {
			return nil, err
		}
		defer connections[i].Close()
	}
	// Each connection's first exchange is outside the measure: it pays for the partition's folder and files.
	for i, connection := range connections {
		request := produceFrame(o.topic, int32(i%o.partitions), o.sizeBytes)
		if err := produceFirst(connection, request, o.topic); err != nil {
			return nil, err
		}
	}

	var running sync.WaitGroup
	cpuBefore := cpuSeconds(o.pids)
	began := time.Now()
	end := began.Add(time.Duration(o.seconds * float64(time.Second)))
	for i := range connections {
		running.Add(1)
		go func() {
			defer running.Done()
			if o.connections == 1 {
				runtime.LockOSThread()
			}
			request := produceFrame(o.topic, int32(i%o.partitions), o.sizeBytes)
			buffer := make([]byte, 4096)
			samples := make([]time.Duration, 0, 1<<16)
			for now := time.Now(); now.Before(end); {
				answer, err := exchange(connections[i], request, buffer)
				if err == nil {
					err = checkProduced(answer, o.topic)
				}
				if err != nil {
					outcomes[i].err = err
					return
				}
				answered := time.Now()
				samples = append(samples, answered.Sub(now))
				now = answered
			}
			outcomes[i].samples = samples
		}()
	}
	running.Wait()
	elapsed := time.Since(began).Seconds()
	cpu := cpuSeconds(o.pids) - cpuBefore

	all := make([]time.Duration, 0, 1<<20)
	for _, each := range outcomes {
		if each.err != nil {
			return nil, each.err
		}
		all = append(all, each.samples...)
	}
	sortDurations(all)
	return figures{
		"perSecond":     float64(len(all)) / elapsed,
		"p50Ms":         quantile(all, 0.50),
		"p99Ms":         quantile(all, 0.99),
		"p999Ms":        quantile(all, 0.999),
		"cpuPerMillion": cpu / float64(len(all)) * 1e6,
		"records":       float64(len(all)),
	}, nil
}

// produceFirst repeats a request while a new topic's leader is still finding out that it leads.
func produceFirst(connection io.ReadWriter, request []byte, topic string) error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		answer, err := exchange(connection, request, make([]byte, 4096))
		if err != nil {
			return err
		}
		if err = checkProduced(answer, topic); err == nil || !kerr.IsRetriable(err) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}
