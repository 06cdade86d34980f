package main

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// endToEnd sends records at a steady rate and measures each from the moment at which it was due to be sent until a
// consumer has it. Due, not sent: a stall then counts for every record that it held up.
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
		for i := range total {
			if i == warmUp {
				cpuBefore = cpuSeconds(o.pids)
			}
			due := began.Add(time.Duration(i) * interval)
			if wait := time.Until(due); wait > 0 {
				time.Sleep(wait)
			}
			value := make([]byte, max(o.sizeBytes, 16))
			binary.BigEndian.PutUint64(value, uint64(i))
			binary.BigEndian.PutUint64(value[8:], uint64(due.Sub(began)))
			producer.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
				if err != nil {
					failed.Store(&err)
					cancel()
				}
			})
		}
	}()

	samples := make([]time.Duration, 0, total)
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
			}
		})
	}
	cpu := cpuSeconds(o.pids) - cpuBefore
	sortDurations(samples)
	return figures{
		"p50Ms":         quantile(samples, 0.50),
		"p99Ms":         quantile(samples, 0.99),
		"p999Ms":        quantile(samples, 0.999),
		"cpuPerMillion": cpu / float64(len(samples)) * 1e6,
		"records":       float64(len(samples)),
	}, nil
}
