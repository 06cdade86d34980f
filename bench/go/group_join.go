package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// joinOnce makes a consumer of a new group and waits for its first record.
func joinOnce(ctx context.Context, bootstrap, topic, group string) (time.Duration, error) {
	began := time.Now()
	consumer, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(),
	)
	if err != nil {
		return 0, err
	}
	fetches := consumer.PollFetches(ctx)
	elapsed := time.Since(began)
	err = fetches.Err()
	consumer.Close()
	if err == nil && fetches.NumRecords() == 0 {
		err = fmt.Errorf("group %s got no record", group)
	}
	return elapsed, err
}

// groupJoin: `count` new groups one after another on a topic that holds a record, each from the client's making
// to its first record.
func groupJoin(o options) (figures, error) {
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	if err := produceOne(o.bootstrap, o.topic); err != nil {
		return nil, err
	}
	cpuBefore := cpuSeconds(o.pids)
	samples := make([]time.Duration, 0, o.count)
	for i := range o.count {
		elapsed, err := joinOnce(ctx, o.bootstrap, o.topic, fmt.Sprintf("bench-%d-%d", time.Now().UnixNano(), i))
		if err != nil {
			return nil, err
		}
		samples = append(samples, elapsed)
	}
	cpu := cpuSeconds(o.pids) - cpuBefore
	first := milliseconds(samples[0])
	sortDurations(samples)
	return figures{
		"p50Ms":     quantile(samples, 0.5),
		"p99Ms":     quantile(samples, 0.99),
		"firstMs":   first,
		"cpuMsEach": cpu * 1000 / float64(o.count),
	}, nil
}

func produceOne(bootstrap, topic string) error {
	connection, err := dialBlocking(bootstrap)
	if err != nil {
		return err
	}
	defer connection.Close()
	return produceFirst(connection, produceFrame(topic, 0, 100), topic)
}
