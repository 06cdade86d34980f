package main

import (
	"context"
	"fmt"
	"net"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// oneAtATime: an idempotent producer (acks=all) that sends a record when the one before is acknowledged.
func oneAtATime(o options) (figures, error) {
	limit := time.Duration(o.seconds*float64(time.Second)) + 30*time.Second
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(o.bootstrap, ",")...), kgo.DefaultProduceTopic(o.topic), kgo.ProducerLinger(0),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchCompression(kgo.NoCompression()),
	)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	value := make([]byte, o.sizeBytes)
	send := func() error { return client.ProduceSync(ctx, &kgo.Record{Value: value}).FirstErr() }
	for warm := time.Now().Add(time.Second); time.Now().Before(warm); {
		if err := send(); err != nil {
			return nil, err
		}
	}
	samples := make([]time.Duration, 0, 1<<14)
	cpuBefore, began := cpuSeconds(o.pids), time.Now()
	end := began.Add(time.Duration(o.seconds * float64(time.Second)))
	for now := began; now.Before(end); {
		if err := send(); err != nil {
			return nil, err
		}
		answered := time.Now()
		samples = append(samples, answered.Sub(now))
		now = answered
	}
	elapsed := time.Since(began).Seconds()
	cpu := cpuSeconds(o.pids) - cpuBefore
	sortDurations(samples)
	return figures{
		"perSecond":     float64(len(samples)) / elapsed,
		"p50Ms":         quantile(samples, 0.50),
		"p99Ms":         quantile(samples, 0.99),
		"cpuPerMillion": cpu / float64(len(samples)) * 1e6,
	}, nil
}

// watch is what followerLag knows of a topic while it looks.
type watch struct {
	topic       string
	connections map[int32]net.Conn
	leaders     map[int32][]int32
	followers   map[int32][]int32
	// ends of the leaders' logs, as they were seen, by partition.
	history map[int32][]seen
}

type seen struct {
	at  time.Time
	end int64
}

// followerLag asks the leaders, then the followers, for the ends of their logs, over and over for -seconds, and tells
// how far followers were behind what their leader had said a moment before.
func followerLag(o options) (figures, error) {
	w, err := openWatch(o)
	if err != nil {
		return nil, err
	}
	defer w.close()
	var records []float64
	var late []time.Duration
	for end := time.Now().Add(time.Duration(o.seconds * float64(time.Second))); time.Now().Before(end); {
		if err := w.lookAtLeaders(); err != nil {
			return nil, err
		}
		worstRecords, worstLate, err := w.lookAtFollowers()
		if err != nil {
			return nil, err
		}
		records = append(records, worstRecords)
		late = append(late, worstLate)
		time.Sleep(2 * time.Millisecond)
	}
	sort.Float64s(records)
	sortDurations(late)
	return figures{
		"samples":       float64(len(late)),
		"lagP50Ms":      quantile(late, 0.5),
		"lagMaxMs":      quantile(late, 1),
		"lagMaxRecords": records[len(records)-1],
	}, nil
}

func openWatch(o options) (*watch, error) {
	w := &watch{
		topic: o.topic, connections: map[int32]net.Conn{}, history: map[int32][]seen{},
		leaders: map[int32][]int32{}, followers: map[int32][]int32{},
	}
	connection, err := net.DialTimeout("tcp", strings.Split(o.bootstrap, ",")[0], 5*time.Second)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	response, _, err := allMetadata(connection)
	if err != nil {
		return nil, err
	}
	for _, topic := range response.Topics {
		if topic.Topic == nil || *topic.Topic != o.topic {
			continue
		}
		for _, partition := range topic.Partitions {
			w.leaders[partition.Leader] = append(w.leaders[partition.Leader], partition.Partition)
			for _, broker := range partition.Replicas {
				if broker != partition.Leader {
					w.followers[broker] = append(w.followers[broker], partition.Partition)
				}
			}
		}
	}
	if len(w.followers) == 0 {
		return nil, fmt.Errorf("topic %s has no followers", o.topic)
	}
	for _, broker := range response.Brokers {
		address := net.JoinHostPort(broker.Host, strconv.Itoa(int(broker.Port)))
		if w.connections[broker.NodeID], err = net.DialTimeout("tcp", address, 5*time.Second); err != nil {
			w.close()
			return nil, err
		}
		_ = w.connections[broker.NodeID].SetDeadline(time.Now().Add(manyTimeout))
	}
	return w, nil
}

func (w *watch) close() {
	for _, connection := range w.connections {
		if connection != nil {
			connection.Close()
		}
	}
}

func (w *watch) lookAtLeaders() error {
	for broker, partitions := range w.leaders {
		ends, err := w.ends(broker, partitions)
		if err != nil {
			return err
		}
		now := time.Now()
		for partition, end := range ends {
			w.history[partition] = append(w.history[partition], seen{now, end})
		}
	}
	return nil
}

// lookAtFollowers gives the largest lag of all: records that the leader is known to have had, and how long ago it had
// the first of them at the latest.
func (w *watch) lookAtFollowers() (records float64, late time.Duration, err error) {
	for broker, partitions := range w.followers {
		ends, err := w.ends(broker, partitions)
		if err != nil {
			return 0, 0, err
		}
		now := time.Now()
		for partition, end := range ends {
			history := w.history[partition]
			records = max(records, float64(history[len(history)-1].end-end))
			first := sort.Search(len(history), func(i int) bool { return history[i].end > end })
			if first < len(history) {
				late = max(late, now.Sub(history[first].at))
			}
		}
	}
	return records, late, nil
}

// listOffsetsVersion is the newest without tagged fields.
const listOffsetsVersion = 5

// debugging is the replica id by which tools see a follower's log to its end.
const debugging = -2

func (w *watch) ends(broker int32, partitions []int32) (map[int32]int64, error) {
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID = debugging
	entry := kmsg.NewListOffsetsRequestTopic()
	entry.Topic = w.topic
	for _, partition := range partitions {
		part := kmsg.NewListOffsetsRequestTopicPartition()
		part.Partition, part.Timestamp = partition, -1
		entry.Partitions = append(entry.Partitions, part)
	}
	request.Topics = append(request.Topics, entry)
	response, err := ask(w.connections[broker], request, listOffsetsVersion)
	if err != nil {
		return nil, err
	}
	ends := map[int32]int64{}
	for _, topic := range response.(*kmsg.ListOffsetsResponse).Topics {
		for _, partition := range topic.Partitions {
			if err := kerr.ErrorForCode(partition.ErrorCode); err != nil {
				return nil, fmt.Errorf("broker %d, partition %d: %w", broker, partition.Partition, err)
			}
			ends[partition.Partition] = partition.Offset
		}
	}
	return ends, nil
}
