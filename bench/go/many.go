package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// mostPartitions of one CreateTopics request: Kafka refuses one that leads to more than 10,000 metadata records.
const mostPartitions = 5_000

// manyTimeout bounds whatever is waited for over thousands of partitions.
const manyTimeout = 150 * time.Second

// largestAnswer bounds what a Metadata answer may be.
const largestAnswer = 1 << 28

// topicName is the name of one of many topics.
func topicName(o options, index int) string { return fmt.Sprintf("%s-%d", o.topic, index) }

// createMany makes `topics` topics of `partitions` partitions each, and waits until every address of -bootstrap shows
// a leader for all of them.
func createMany(o options) (figures, error) {
	ctx, cancel := context.WithTimeout(context.Background(), manyTimeout)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(o.bootstrap, ",")...))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if err := client.Ping(ctx); err != nil {
		return nil, err
	}
	cpuBefore := cpuSeconds(o.pids)
	began := time.Now()
	perRequest := max(1, mostPartitions/o.partitions)
	for from := 0; from < o.topics; from += perRequest {
		if err := createSome(ctx, client, o, from, min(from+perRequest, o.topics)); err != nil {
			return nil, err
		}
	}
	answered := time.Since(began)
	if err := awaitMany(o, began.Add(manyTimeout), isLed(-1)); err != nil {
		return nil, err
	}
	return figures{
		"answeredMs": milliseconds(answered),
		"ms":         milliseconds(time.Since(began)),
		"cpuSeconds": cpuSeconds(o.pids) - cpuBefore,
	}, nil
}

func createSome(ctx context.Context, client *kgo.Client, o options, from, to int) error {
	request := kmsg.NewPtrCreateTopicsRequest()
	request.TimeoutMillis = int32(manyTimeout.Milliseconds())
	for index := from; index < to; index++ {
		entry := kmsg.NewCreateTopicsRequestTopic()
		entry.Topic = topicName(o, index)
		entry.NumPartitions = int32(o.partitions)
		entry.ReplicationFactor = int16(o.replication)
		request.Topics = append(request.Topics, entry)
	}
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for _, made := range response.Topics {
		if err := kerr.ErrorForCode(made.ErrorCode); err != nil {
			return fmt.Errorf("create %s: %w", made.Topic, err)
		}
	}
	return nil
}

// deleteMany removes what createMany made.
func deleteMany(o options) (figures, error) {
	return figures{}, withClient(o, func(ctx context.Context, client *kgo.Client) error {
		request := kmsg.NewPtrDeleteTopicsRequest()
		request.TimeoutMillis = 30_000
		for index := range o.topics {
			entry := kmsg.NewDeleteTopicsRequestTopic()
			entry.Topic = kmsg.StringPtr(topicName(o, index))
			request.Topics = append(request.Topics, entry)
			request.TopicNames = append(request.TopicNames, topicName(o, index))
		}
		_, err := request.RequestWith(ctx, client)
		return err
	})
}

// condition tells whether a partition is as it is waited for.
type condition func(kmsg.MetadataResponseTopicPartition) bool

// isLed: by somebody other than `without` (-1: anybody).
func isLed(without int32) condition {
	return func(partition kmsg.MetadataResponseTopicPartition) bool {
		return partition.ErrorCode == 0 && partition.Leader >= 0 && partition.Leader != without
	}
}

func isWhole(partition kmsg.MetadataResponseTopicPartition) bool {
	return partition.ErrorCode == 0 && partition.Leader >= 0 && len(partition.ISR) == len(partition.Replicas)
}

// awaitLeaders waits until all partitions are led, by others than the broker -without. Its time counts from -since.
func awaitLeaders(o options) (figures, error) { return awaitFrom(o, isLed(int32(o.without))) }

// awaitReplicas waits until all replicas of all partitions are in sync. Its time counts from -since.
func awaitReplicas(o options) (figures, error) { return awaitFrom(o, isWhole) }

func awaitFrom(o options, reached condition) (figures, error) {
	since := sinceOf(o)
	if err := awaitMany(o, time.Now().Add(manyTimeout), reached); err != nil {
		return nil, err
	}
	return figures{"ms": milliseconds(time.Since(since))}, nil
}

// sinceOf is the moment that -since names, in milliseconds since 1970; without it, now.
func sinceOf(o options) time.Time {
	if o.since == 0 {
		return time.Now()
	}
	return time.UnixMicro(int64(o.since * 1000))
}

// isWanted: a topic of these, by the prefix of its name or by its name.
func isWanted(o options, name *string) bool {
	if name == nil {
		return false
	}
	return *name == o.topic || strings.HasPrefix(*name, o.topic+"-")
}

// awaitMany asks each address in turn for all metadata until the condition holds there for all partitions.
func awaitMany(o options, deadline time.Time, reached condition) error {
	wanted := o.topics * o.partitions
	for _, address := range strings.Split(o.bootstrap, ",") {
		var last error
		for {
			began := time.Now()
			count, _, err := countPartitions(address, o, reached)
			if err == nil && count == wanted {
				break
			}
			last = err
			if time.Now().After(deadline) {
				return fmt.Errorf("%s: %d of %d partitions are ready: %v", address, count, wanted, last)
			}
			// A broker that is busy answering us would not get ready.
			time.Sleep(max(5*time.Millisecond, 3*time.Since(began)))
		}
	}
	return nil
}

// countPartitions asks for all metadata.
func countPartitions(address string, o options, reached condition) (count, sizeBytes int, err error) {
	connection, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return 0, 0, err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(60 * time.Second))
	response, sizeBytes, err := allMetadata(connection)
	if err != nil {
		return 0, 0, err
	}
	for _, topic := range response.Topics {
		if topic.ErrorCode != 0 || !isWanted(o, topic.Topic) {
			continue
		}
		for _, partition := range topic.Partitions {
			if reached(partition) {
				count++
			}
		}
	}
	return count, sizeBytes, nil
}

const metadataVersion = 12

func allMetadata(connection net.Conn) (*kmsg.MetadataResponse, int, error) {
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = nil
	answer, err := exchangeLarge(connection, frame(request, metadataVersion))
	if err != nil {
		return nil, 0, err
	}
	response := kmsg.NewPtrMetadataResponse()
	response.SetVersion(metadataVersion)
	return response, len(answer), response.ReadFrom(answer[5:])
}

// measureMetadata: the whole metadata, `count` times over one connection, the first time outside the measure.
func measureMetadata(o options) (figures, error) {
	connection, err := net.Dial("tcp", o.bootstrap)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = nil
	encoded := frame(request, metadataVersion)
	sizeBytes, cpuBefore := 0, 0.0
	samples := make([]time.Duration, 0, o.count)
	for i := range o.count + 1 {
		if i == 1 {
			cpuBefore = cpuSeconds(o.pids)
		}
		began := time.Now()
		answer, err := exchangeLarge(connection, encoded)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			samples = append(samples, time.Since(began))
		}
		sizeBytes = len(answer)
	}
	cpu := cpuSeconds(o.pids) - cpuBefore
	sortDurations(samples)
	return figures{
		"ms":    quantile(samples, 0.5),
		"maxMs": quantile(samples, 1),
		"cpuMs": cpu * 1000 / float64(o.count),
		"bytes": float64(sizeBytes),
	}, nil
}

// workers of the spread measure, with one request in flight each: the same for any number of connections, so that a
// turn of the broker's loop finds the same number of requests.
const workers = 8

// spread opens `connections` connections and sends `count` requests of one record each (acks=all) over all of them in
// turn, to all of `topics` x `partitions` partitions in turn. -warm requests go before, outside the measure.
func spread(o options) (figures, error) {
	frames := make([][]byte, 0, o.topics*o.partitions)
	names := make([]string, 0, len(frames))
	for topic := range o.topics {
		name := topicName(o, topic)
		for partition := range o.partitions {
			frames = append(frames, produceFrame(name, int32(partition), o.sizeBytes))
			names = append(names, name)
		}
	}
	residentBefore := residentMB(o.pids)
	began := time.Now()
	connections, err := dialMany(o)
	defer func() {
		for _, connection := range connections {
			if connection != nil {
				connection.Close()
			}
		}
	}()
	if err != nil {
		return nil, err
	}
	opened := time.Since(began)
	send := func(count int) ([]time.Duration, error) { return sendSpread(connections, frames, names, count) }
	if _, err := send(o.warm); err != nil {
		return nil, err
	}
	found := figures{"openMs": milliseconds(opened)}
	cpuBefore := cpuSeconds(o.pids)
	began = time.Now()
	samples, err := send(o.count)
	if err != nil {
		return nil, err
	}
	elapsed := time.Since(began).Seconds()
	found["cpuPerMillion"] = (cpuSeconds(o.pids) - cpuBefore) / float64(len(samples)) * 1e6
	found["perSecond"] = float64(len(samples)) / elapsed
	sortDurations(samples)
	found["p50Ms"], found["p99Ms"] = quantile(samples, 0.5), quantile(samples, 0.99)
	if o.seconds > 0 {
		// What the load left behind is collected, what the connections take stays.
		time.Sleep(time.Duration(o.seconds * float64(time.Second)))
		found["residentMB"] = residentMB(o.pids)
		found["kbPerConnection"] = (found["residentMB"] - residentBefore) * 1024 / float64(o.connections)
	}
	return found, nil
}

func sendSpread(connections []net.Conn, frames [][]byte, names []string, count int) ([]time.Duration, error) {
	// With fewer connections than workers some workers have nothing to do.
	busy := min(workers, len(connections))
	outcomes := make([][]time.Duration, busy)
	failures := make([]error, busy)
	var running sync.WaitGroup
	for worker := range busy {
		running.Add(1)
		go func() {
			defer running.Done()
			buffer := make([]byte, 4096)
			own := (len(connections) - worker + busy - 1) / busy
			for i := 0; worker+i*busy < count; i++ {
				at := (worker + i*busy) % len(frames)
				began := time.Now()
				answer, err := exchange(connections[worker+(i%own)*busy], frames[at], buffer)
				if err == nil {
					err = checkProduced(answer, names[at])
				}
				if err != nil {
					failures[worker] = fmt.Errorf("%s: %w", names[at], err)
					return
				}
				outcomes[worker] = append(outcomes[worker], time.Since(began))
			}
		}()
	}
	running.Wait()
	if err := errors.Join(failures...); err != nil {
		return nil, err
	}
	all := make([]time.Duration, 0, count)
	for _, each := range outcomes {
		all = append(all, each...)
	}
	return all, nil
}

// firstRecordOf waits until a record is taken by an existing topic. Its time counts from -since.
func firstRecordOf(o options) (figures, error) {
	since := sinceOf(o)
	deadline := time.Now().Add(startTimeout)
	for {
		connection, err := net.DialTimeout("tcp", o.bootstrap, time.Second)
		if err == nil {
			_ = connection.SetDeadline(deadline)
			err = produceFirst(connection, produceFrame(topicName(o, 0), 0, o.sizeBytes), topicName(o, 0))
			connection.Close()
		}
		if err == nil {
			return figures{"ms": milliseconds(time.Since(since)), "cpuMs": cpuSeconds(o.pids) * 1000}, nil
		}
		if time.Now().After(deadline) {
			return nil, err
		}
		time.Sleep(2 * time.Millisecond)
	}
}
