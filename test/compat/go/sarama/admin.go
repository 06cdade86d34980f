package main

import (
	"fmt"
	"strings"

	"github.com/IBM/sarama"
)

func results(names []string, run func(string) error) (answer, error) {
	all := answer{}
	for _, name := range names {
		all[name] = errorName(run(name))
	}
	return answer{"results": all}, nil
}

func (d *driver) serveAdmin(c *command) (answer, error) {
	switch c.Do {
	case "createTopics":
		return d.createTopics(c.newTopics())
	case "deleteTopics":
		return results(c.Names, d.admin.DeleteTopic)
	case "createPartitions":
		return results([]string{c.Topic}, func(topic string) error {
			return d.admin.CreatePartitions(topic, int32(c.Total), nil, false)
		})
	case "listTopics":
		found, err := d.admin.ListTopics()
		topics := answer{}
		for name, each := range found {
			topics[name] = each.NumPartitions
		}
		return answer{"topics": topics}, err
	case "describeConfigs":
		return d.describeConfigs(c)
	case "alterConfigs":
		return d.alterConfigs(c)
	case "describeCluster":
		return d.describeCluster()
	case "deleteRecords":
		return d.deleteRecords(c)
	case "listOffsets":
		return d.listOffsets(c)
	}
	return d.serveGroups(c)
}

func (d *driver) serveGroups(c *command) (answer, error) {
	switch c.Do {
	case "listGroups":
		found, err := d.admin.ListConsumerGroups()
		groups := []string{}
		for group := range found {
			groups = append(groups, group)
		}
		return answer{"groups": groups}, err
	case "describeGroup":
		found, err := d.admin.DescribeConsumerGroups([]string{c.Group})
		if err != nil {
			return nil, err
		}
		return answer{"state": strings.ToLower(found[0].State), "members": len(found[0].Members)}, nil
	case "deleteGroups":
		return results(c.Groups, d.admin.DeleteConsumerGroup)
	case "groupOffsets":
		return d.groupOffsets(c.Group)
	case "setGroupOffsets":
		return d.setGroupOffsets(c)
	case "deleteGroupOffsets":
		for _, partition := range c.Partitions {
			if err := d.admin.DeleteConsumerGroupOffset(c.Group, c.Topic, partition); err != nil {
				return nil, err
			}
		}
		return answer{}, nil
	}
	return unsupported, nil
}

func (d *driver) createTopics(topics []newTopic) (answer, error) {
	all := answer{}
	for _, topic := range topics {
		configs := map[string]*string{}
		for name, value := range topic.Configs {
			configs[name] = &value
		}
		detail := &sarama.TopicDetail{
			NumPartitions: *topic.Partitions, ReplicationFactor: *topic.ReplicationFactor, ConfigEntries: configs,
		}
		all[topic.Name] = errorName(d.admin.CreateTopic(topic.Name, detail, false))
	}
	return answer{"results": all}, nil
}

func kindOf(c *command) sarama.ConfigResourceType {
	if c.Type == "broker" {
		return sarama.BrokerResource
	}
	return sarama.TopicResource
}

func (d *driver) describeConfigs(c *command) (answer, error) {
	found, err := d.admin.DescribeConfig(sarama.ConfigResource{Type: kindOf(c), Name: c.Name})
	configs := answer{}
	for _, entry := range found {
		configs[entry.Name] = entry.Value
	}
	return answer{"configs": configs}, err
}

func (d *driver) alterConfigs(c *command) (answer, error) {
	changes := map[string]sarama.IncrementalAlterConfigsEntry{}
	for name, value := range c.Set {
		changes[name] = sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}
	}
	for _, name := range c.Unset {
		changes[name] = sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationDelete}
	}
	return results([]string{c.Name}, func(name string) error {
		return d.admin.IncrementalAlterConfig(kindOf(c), name, changes, false)
	})
}

func (d *driver) describeCluster() (answer, error) {
	brokers, controller, err := d.admin.DescribeCluster()
	if err != nil {
		return nil, err
	}
	node, err := d.admin.Controller()
	if err != nil {
		return nil, err
	}
	found, err := node.GetMetadata(sarama.NewMetadataRequest(sarama.MaxVersion, nil))
	if err != nil {
		return nil, err
	}
	return answer{"clusterId": *found.ClusterID, "brokers": len(brokers), "controller": controller}, nil
}

func (d *driver) groupOffsets(group string) (answer, error) {
	found, err := d.admin.ListConsumerGroupOffsets(group, nil)
	if err != nil {
		return nil, err
	}
	offsets := map[string]map[int32]int64{}
	for topic, partitions := range found.Blocks {
		offsets[topic] = map[int32]int64{}
		for partition, block := range partitions {
			if block.Offset >= 0 {
				offsets[topic][partition] = block.Offset
			}
		}
	}
	return answer{"offsets": offsets}, nil
}

func (d *driver) setGroupOffsets(c *command) (answer, error) {
	offsets := map[int32]sarama.OffsetAndMetadata{}
	for partition, offset := range c.offsets() {
		offsets[partition] = sarama.OffsetAndMetadata{Offset: offset, LeaderEpoch: -1}
	}
	found, err := d.admin.AlterConsumerGroupOffsets(c.Group, map[string]map[int32]sarama.OffsetAndMetadata{c.Topic: offsets}, nil)
	if err != nil {
		return nil, err
	}
	for _, partitions := range found.Errors {
		for partition, code := range partitions {
			if code != sarama.ErrNoError {
				return nil, fmt.Errorf("partition %d: %w", partition, code)
			}
		}
	}
	return answer{}, nil
}

// deleteRecords sends the plain request: the admin client does not tell where the logs begin after it.
func (d *driver) deleteRecords(c *command) (answer, error) {
	lows := map[int32]int64{}
	for partition, offset := range c.offsets() {
		leader, err := d.client.Leader(c.Topic, partition)
		if err != nil {
			return nil, err
		}
		wanted := &sarama.DeleteRecordsRequestTopic{PartitionOffsets: map[int32]int64{partition: offset}}
		found, err := leader.DeleteRecords(&sarama.DeleteRecordsRequest{
			Topics: map[string]*sarama.DeleteRecordsRequestTopic{c.Topic: wanted}, Timeout: patience,
		})
		if err != nil {
			return nil, err
		}
		outcome := found.Topics[c.Topic].Partitions[partition]
		if outcome.Err != sarama.ErrNoError {
			return nil, outcome.Err
		}
		lows[partition] = outcome.LowWatermark
	}
	return answer{"lows": lows}, nil
}

// listOffsets has no way to ask for the highest timestamp: sarama asks in versions that do not know it.
func (d *driver) listOffsets(c *command) (answer, error) {
	at := sarama.OffsetNewest
	switch wanted := c.At.(type) {
	case float64:
		at = int64(wanted)
	case string:
		if wanted == "earliest" {
			at = sarama.OffsetOldest
		} else if wanted == "max" {
			return unsupported, nil
		}
	}
	if err := d.client.RefreshMetadata(c.Topic); err != nil {
		return nil, err
	}
	partitions, err := d.client.Partitions(c.Topic)
	if err != nil {
		return nil, err
	}
	offsets := map[int32]int64{}
	for _, partition := range partitions {
		if offsets[partition], err = d.client.GetOffset(c.Topic, partition, at); err != nil {
			return nil, err
		}
	}
	return answer{"offsets": offsets}, nil
}
