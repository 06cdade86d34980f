package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// errorName gives Kafka's name of an error.
func errorName(err error) any {
	if err == nil {
		return nil
	}
	var known *kerr.Error
	if errors.As(err, &known) {
		return known.Message
	}
	return err.Error()
}

func codecOf(name string) kgo.CompressionCodec {
	switch name {
	case "gzip":
		return kgo.GzipCompression()
	case "snappy":
		return kgo.SnappyCompression()
	case "lz4":
		return kgo.Lz4Compression()
	case "zstd":
		return kgo.ZstdCompression()
	}
	return kgo.NoCompression()
}

func (d *driver) producer(c *command, partitioner kgo.Partitioner) (*kgo.Client, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(splitComma(d.bootstrap)...),
		kgo.RecordPartitioner(partitioner),
		kgo.ProducerBatchCompression(codecOf(c.Codec)),
		kgo.ProducerBatchMaxBytes(1_000_000),
		kgo.ProducerLinger(5 * time.Millisecond),
		kgo.MaxBufferedRecords(500_000),
		kgo.AllowAutoTopicCreation(),
		kgo.MetadataMinAge(50 * time.Millisecond),
	}
	if !c.Idempotent {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	switch fmt.Sprint(c.Acks) {
	case "0":
		options = append(options, kgo.RequiredAcks(kgo.NoAck()))
	case "1":
		options = append(options, kgo.RequiredAcks(kgo.LeaderAck()))
	}
	return kgo.NewClient(options...)
}

// mixed sends a record where it asks to go, and by its key when it does not ask (partition -1).
func mixed() kgo.Partitioner {
	byKey := kgo.StickyKeyPartitioner(nil)
	return kgo.BasicConsistentPartitioner(func(topic string) func(*kgo.Record, int) int {
		keyed := byKey.ForTopic(topic)
		return func(record *kgo.Record, partitions int) int {
			if record.Partition >= 0 {
				return int(record.Partition)
			}
			return keyed.Partition(record, partitions)
		}
	})
}

func (d *driver) produce(c *command) (answer, error) {
	client, err := d.producer(c, mixed())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	outcomes := make([]answer, len(c.Records))
	var waiting sync.WaitGroup
	for index, each := range c.Records {
		record := &kgo.Record{Topic: c.Topic, Key: decode(each.Key), Value: decode(each.Value), Partition: -1}
		for _, header := range each.Headers {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: *header[0], Value: decode(header[1])})
		}
		if each.TimestampMs != nil {
			record.Timestamp = time.UnixMilli(*each.TimestampMs)
		}
		if each.Partition != nil {
			record.Partition = *each.Partition
		}
		waiting.Add(1)
		client.Produce(context.Background(), record, func(record *kgo.Record, err error) {
			if err != nil {
				outcomes[index] = answer{"error": errorName(err)}
			} else {
				outcomes[index] = answer{"partition": record.Partition, "offset": record.Offset}
			}
			waiting.Done()
		})
	}
	waiting.Wait()
	return answer{"outcomes": outcomes}, nil
}

// produceFile sends a file of lines: a key, a tab and a value each.
func (d *driver) produceFile(c *command) (answer, error) {
	client, err := d.producer(c, kgo.StickyKeyPartitioner(nil))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	all, err := os.ReadFile(c.Path)
	if err != nil {
		return nil, err
	}
	var lock sync.Mutex
	acknowledged, failures := 0, []any{}
	for len(all) > 0 {
		end := bytes.IndexByte(all, '\n')
		key, value, _ := bytes.Cut(all[:end], []byte{'\t'})
		all = all[end+1:]
		client.Produce(context.Background(), &kgo.Record{Topic: c.Topic, Key: key, Value: value}, func(_ *kgo.Record, err error) {
			lock.Lock()
			defer lock.Unlock()
			if err != nil {
				failures = append(failures, errorName(err))
			} else {
				acknowledged++
			}
		})
	}
	if err := client.Flush(context.Background()); err != nil {
		return nil, err
	}
	return answer{"acknowledged": acknowledged, "errors": failures}, nil
}

// read visits every record up to the ends that the topic has now.
func (d *driver) read(topic string, visit func(*kgo.Record)) error {
	limit, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	starts, err := d.admin.ListStartOffsets(limit, topic)
	if err != nil {
		return err
	}
	ends, err := d.admin.ListEndOffsets(limit, topic)
	if err != nil {
		return err
	}
	places, open := map[int32]kgo.Offset{}, map[int32]int64{}
	for partition, end := range ends[topic] {
		start, _ := starts.Lookup(topic, partition)
		if start.Offset < end.Offset {
			places[partition] = kgo.NewOffset().At(start.Offset)
			open[partition] = end.Offset
		}
	}
	if len(open) == 0 {
		return nil
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(splitComma(d.bootstrap)...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: places}),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	for len(open) > 0 {
		fetches := client.PollFetches(limit)
		if err := fetches.Err0(); err != nil {
			return err
		}
		for _, failure := range fetches.Errors() {
			return failure.Err
		}
		fetches.EachRecord(func(record *kgo.Record) {
			visit(record)
			if record.Offset+1 >= open[record.Partition] {
				delete(open, record.Partition)
			}
		})
	}
	return nil
}

func found(record *kgo.Record) answer {
	headers := [][]any{}
	for _, header := range record.Headers {
		headers = append(headers, []any{header.Key, encode(header.Value)})
	}
	return answer{
		"topic": record.Topic, "partition": record.Partition, "offset": record.Offset,
		"key": encode(record.Key), "value": encode(record.Value),
		"headers": headers, "timestampMs": record.Timestamp.UnixMilli(),
	}
}

func (d *driver) consume(c *command) (answer, error) {
	records := []answer{}
	err := d.read(c.Topic, func(record *kgo.Record) { records = append(records, found(record)) })
	return answer{"records": records}, err
}

func (d *driver) consumeFile(c *command) (answer, error) {
	file, err := os.Create(c.Path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	out := bufio.NewWriterSize(file, 1<<20)
	err = d.read(c.Topic, func(record *kgo.Record) {
		fmt.Fprintf(out, "%d\t%d\t%s\t%s\n", record.Partition, record.Offset, record.Key, record.Value)
	})
	if err != nil {
		return nil, err
	}
	return answer{}, out.Flush()
}

// load produces numbered records to fixed partitions until told to stop, and notes what was acknowledged.
type load struct {
	client       *kgo.Client
	stopping     chan struct{}
	done         chan struct{}
	lock         sync.Mutex
	sent         int64
	acknowledged [][3]int64
	failures     []any
}

func startLoad(d *driver, c *command) (*load, error) {
	client, err := d.producer(c, kgo.ManualPartitioner())
	if err != nil {
		return nil, err
	}
	l := &load{client: client, stopping: make(chan struct{}), done: make(chan struct{}), failures: []any{}}
	go l.run(*c)
	return l, nil
}

func (l *load) run(c command) {
	defer close(l.done)
	pause := time.Duration(max(c.PauseMs, 1)) * time.Millisecond
	for {
		for range max(c.Burst, 1) {
			number := l.sent
			l.sent++
			value := fmt.Appendf(nil, "%s:%d:%s", c.Name, number, bytes.Repeat([]byte("x"), 100))
			partition := c.Partitions[number%int64(len(c.Partitions))]
			record := &kgo.Record{Topic: c.Topic, Partition: partition, Key: []byte(c.Name), Value: value}
			l.client.Produce(context.Background(), record, func(record *kgo.Record, err error) {
				l.lock.Lock()
				defer l.lock.Unlock()
				if err != nil {
					l.failures = append(l.failures, errorName(err))
				} else {
					l.acknowledged = append(l.acknowledged, [3]int64{number, int64(record.Partition), record.Offset})
				}
			})
		}
		select {
		case <-l.stopping:
			return
		case <-time.After(pause):
		}
	}
}

func (l *load) stop() answer {
	close(l.stopping)
	<-l.done
	limit, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	if err := l.client.Flush(limit); err != nil {
		l.failures = append(l.failures, err.Error())
	}
	left := l.client.BufferedProduceRecords()
	l.client.Close()
	return answer{"sent": l.sent, "acknowledged": l.acknowledged, "errors": l.failures, "left": left}
}
