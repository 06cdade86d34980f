package main

import (
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// endToEnd sends records at a steady rate and measures each from the moment at which it was due to be sent until a
// consumer has it. Due, not sent: a stall then counts for every record that it held up. How late the records were handed to
// the client is told apart: that much of the time is the generator's own.
func endToEnd(o options) (figures, error) {
	deadline := time.Duration(o.seconds*float64(time.Second)) + 15*time.Second
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	producer, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(o.bootstrap, ",")...), kgo.DefaultProduceTopic(o.topic), kgo.ProducerLinger(0),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchCompression(kgo.NoCompression()),
	)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	consumer, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(o.bootstrap, ",")...), kgo.ConsumeTopics(o.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(500*time.Millisecond),
	)
	if err != nil {
		return nil, err
	}
	defer consumer.Close()

	// Warm-up: a second of records outside the measure, so that both clients are connected and polling.
	warmUp := o.rate
	total := warmUp + int(float64(o.rate)*o.seconds)
	interval := time.Second / time.Duration(o.rate)
	began := time.Now()
	var failed atomic.Pointer[error]
	var cpuBefore float64
	go func() {
		sleep := preciseSleep()
		for i := range total {
			if i == warmUp {
				cpuBefore = cpuSeconds(o.pids)
			}
			due := began.Add(time.Duration(i) * interval)
			if wait := time.Until(due); wait > 0 {
				sleep(wait)
			}
			value := make([]byte, max(o.sizeBytes, 24))
			binary.BigEndian.PutUint64(value, uint64(i))
			binary.BigEndian.PutUint64(value[8:], uint64(due.Sub(began)))
			binary.BigEndian.PutUint64(value[16:], uint64(time.Since(due)))
			producer.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
				if err != nil {
					failed.Store(&err)
					cancel()
				}
			})
		}
	}()

	samples := make([]time.Duration, 0, total)
	late := make([]time.Duration, 0, total)
	for seen := 0; seen < total; {
		fetches := consumer.PollFetches(ctx)
		now := time.Since(began)
		if problem := failed.Load(); problem != nil {
			return nil, *problem
		}
		if ctx.Err() != nil {
			return nil, errors.New("records went missing: the consumer waited in vain")
		}
		fetches.EachRecord(func(record *kgo.Record) {
			seen++
			if int(binary.BigEndian.Uint64(record.Value)) >= warmUp {
				samples = append(samples, now-time.Duration(binary.BigEndian.Uint64(record.Value[8:])))
				late = append(late, time.Duration(binary.BigEndian.Uint64(record.Value[16:])))
			}
		})
	}
	cpu := cpuSeconds(o.pids) - cpuBefore
	sortDurations(samples)
	sortDurations(late)
	return figures{
		"p50Ms":         quantile(samples, 0.50),
		"p99Ms":         quantile(samples, 0.99),
		"p999Ms":        quantile(samples, 0.999),
		"lateP50Ms":     quantile(late, 0.50),
		"lateP99Ms":     quantile(late, 0.99),
		"cpuPerMillion": cpu / float64(len(samples)) * 1e6,
		"records":       float64(len(samples)),
	}, nil
}

// preciseSleep gives a function that sleeps to within some ten microseconds, for the goroutine that calls it. Go's own
// timers fire up to a millisecond late on a machine with time to spare (they are waited for in epoll), and earlier on a
// busy one: latencies would then tell more about how busy the broker keeps the machine than about the broker.
func preciseSleep() func(time.Duration) {
	runtime.LockOSThread()
	return func(wait time.Duration) {
		left := syscall.NsecToTimespec(wait.Nanoseconds())
		for syscall.Nanosleep(&left, &left) == syscall.EINTR {
		}
	}
}
