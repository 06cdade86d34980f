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

const adminTimeout = 60 * time.Second

// create makes a topic and returns when all its partitions have a leader.
func create(ctx context.Context, client *kgo.Client, topic string, partitions, replication int) error {
	request := kmsg.NewPtrCreateTopicsRequest()
	request.TimeoutMillis = 30_000
	entry := kmsg.NewCreateTopicsRequestTopic()
	entry.Topic = topic
	entry.NumPartitions = int32(partitions)
	entry.ReplicationFactor = int16(replication)
	// A deleted bench topic gives its disk back at once, so that the next round writes to warm pages.
	delay := "100"
	config := kmsg.NewCreateTopicsRequestTopicConfig()
	config.Name, config.Value = "file.delete.delay.ms", &delay
	entry.Configs = append(entry.Configs, config)
	request.Topics = append(request.Topics, entry)
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for _, made := range response.Topics {
		if err := kerr.ErrorForCode(made.ErrorCode); err != nil {
			return fmt.Errorf("create %s: %w", topic, err)
		}
	}
	for ctx.Err() == nil {
		led, err := ledPartitions(ctx, client, topic)
		if err != nil {
			return err
		}
		if led == partitions {
			return nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	return errors.New("the new topic got no leaders")
}

func ledPartitions(ctx context.Context, client *kgo.Client, topic string) (int, error) {
	request := kmsg.NewPtrMetadataRequest()
	entry := kmsg.NewMetadataRequestTopic()
	entry.Topic = kmsg.StringPtr(topic)
	request.Topics = append(request.Topics, entry)
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return 0, err
	}
	led := 0
	for _, described := range response.Topics {
		for _, partition := range described.Partitions {
			if partition.ErrorCode == 0 && partition.Leader >= 0 {
				led++
			}
		}
	}
	return led, nil
}

func remove(ctx context.Context, client *kgo.Client, topic string) error {
	request := kmsg.NewPtrDeleteTopicsRequest()
	request.TimeoutMillis = 30_000
	request.TopicNames = []string{topic}
	entry := kmsg.NewDeleteTopicsRequestTopic()
	entry.Topic = kmsg.StringPtr(topic)
	request.Topics = append(request.Topics, entry)
	_, err := request.RequestWith(ctx, client)
	return err
}

func withClient(o options, work func(context.Context, *kgo.Client) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(o.bootstrap, ",")...))
	if err != nil {
		return err
	}
	defer client.Close()
	return work(ctx, client)
}

func createTopic(o options) (figures, error) {
	return figures{}, withClient(o, func(ctx context.Context, client *kgo.Client) error {
		return create(ctx, client, o.topic, o.partitions, o.replication)
	})
}

func deleteTopic(o options) (figures, error) {
	return figures{}, withClient(o, func(ctx context.Context, client *kgo.Client) error {
		return remove(ctx, client, o.topic)
	})
}

// createPartitions: one topic of `count` partitions, from the request until Metadata shows a leader for each.
func createPartitions(o options) (figures, error) {
	found := figures{}
	err := withClient(o, func(ctx context.Context, client *kgo.Client) error {
		if err := client.Ping(ctx); err != nil {
			return err
		}
		cpuBefore := cpuSeconds(o.pids)
		began := time.Now()
		if err := create(ctx, client, o.topic, o.count, 1); err != nil {
			return err
		}
		found["ms"] = milliseconds(time.Since(began))
		found["cpuSeconds"] = cpuSeconds(o.pids) - cpuBefore
		return remove(ctx, client, o.topic)
	})
	return found, err
}

// dialing bounds how many connections are being opened at the same moment.
const dialing = 8

// dialMany opens -connections connections that each get an ApiVersions answer. What it opened is for the caller to
// close, also after an error.
func dialMany(o options) ([]net.Conn, error) {
	connections := make([]net.Conn, o.connections)
	request := frame(kmsg.NewPtrApiVersionsRequest(), 0)
	failures := make(chan error, dialing)
	var running sync.WaitGroup
	for worker := range dialing {
		running.Add(1)
		go func() {
			defer running.Done()
			buffer := make([]byte, 1<<14)
			for i := worker; i < len(connections); i += dialing {
				connection, err := net.DialTimeout("tcp", o.bootstrap, 10*time.Second)
				if err == nil {
					connections[i] = connection
					_ = connection.SetDeadline(time.Now().Add(manyTimeout))
					_, err = exchange(connection, request, buffer)
				}
				if err != nil {
					failures <- err
					return
				}
			}
		}()
	}
	running.Wait()
	select {
	case err := <-failures:
		return connections, err
	default:
		return connections, nil
	}
}

// openConnections: -connections connections that each get an ApiVersions answer, all held open to the end.
func openConnections(o options) (figures, error) {
	memoryBefore, cpuBefore := residentMB(o.pids), cpuSeconds(o.pids)
	began := time.Now()
	connections, err := dialMany(o)
	elapsed := time.Since(began)
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
	return figures{
		"ms":              milliseconds(elapsed),
		"cpuSeconds":      cpuSeconds(o.pids) - cpuBefore,
		"kbPerConnection": (residentMB(o.pids) - memoryBefore) * 1024 / float64(o.connections),
	}, nil
}
