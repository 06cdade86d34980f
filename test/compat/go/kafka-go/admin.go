package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/segmentio/kafka-go"
)

func results[T comparable](errors map[string]T, nameOf func(T) any) answer {
	all := answer{}
	for name, err := range errors {
		all[name] = nameOf(err)
	}
	return answer{"results": all}
}

func (d *driver) serveAdmin(limit context.Context, c *command) (answer, error) {
	switch c.Do {
	case "createTopics":
		return d.createTopics(limit, c.newTopics())
	case "deleteTopics":
		found, err := d.client.DeleteTopics(limit, &kafka.DeleteTopicsRequest{Topics: c.Names})
		if err != nil {
			return nil, err
		}
		return results(found.Errors, errorName), nil
	case "createPartitions":
		wanted := []kafka.TopicPartitionsConfig{{Name: c.Topic, Count: int32(c.Total)}}
		found, err := d.client.CreatePartitions(limit, &kafka.CreatePartitionsRequest{Topics: wanted})
		if err != nil {
			return nil, err
		}
		return results(found.Errors, errorName), nil
	case "listTopics":
		found, err := d.client.Metadata(limit, &kafka.MetadataRequest{})
		if err != nil {
			return nil, err
		}
		topics := answer{}
		for _, each := range found.Topics {
			topics[each.Name] = len(each.Partitions)
		}
		return answer{"topics": topics}, nil
	case "describeConfigs":
		return d.describeConfigs(limit, c)
	case "alterConfigs":
		return d.alterConfigs(limit, c)
	case "describeCluster":
		found, err := d.client.Metadata(limit, &kafka.MetadataRequest{Topics: []string{}})
		if err != nil {
			return nil, err
		}
		return answer{"clusterId": found.ClusterID, "brokers": len(found.Brokers), "controller": found.Controller.ID}, nil
	case "listOffsets":
		return d.listOffsets(limit, c)
	}
	return d.serveGroups(limit, c)
}

func (d *driver) createTopics(limit context.Context, topics []newTopic) (answer, error) {
	request := &kafka.CreateTopicsRequest{}
	for _, topic := range topics {
		wanted := kafka.TopicConfig{
			Topic: topic.Name, NumPartitions: int(*topic.Partitions), ReplicationFactor: int(*topic.ReplicationFactor),
		}
		for name, value := range topic.Configs {
			wanted.ConfigEntries = append(wanted.ConfigEntries, kafka.ConfigEntry{ConfigName: name, ConfigValue: value})
		}
		request.Topics = append(request.Topics, wanted)
	}
	found, err := d.client.CreateTopics(limit, request)
	if err != nil {
		return nil, err
	}
	return results(found.Errors, errorName), nil
}

func kindOf(c *command) kafka.ResourceType {
	if c.Type == "broker" {
		return kafka.ResourceTypeBroker
	}
	return kafka.ResourceTypeTopic
}

func (d *driver) describeConfigs(limit context.Context, c *command) (answer, error) {
	wanted := kafka.DescribeConfigRequestResource{ResourceType: kindOf(c), ResourceName: c.Name}
	request := &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{wanted}}
	found, err := d.client.DescribeConfigs(limit, request)
	if err != nil {
		return nil, err
	}
	configs := answer{}
	for _, resource := range found.Resources {
		if resource.Error != nil {
			return nil, resource.Error
		}
		for _, entry := range resource.ConfigEntries {
			configs[entry.ConfigName] = entry.ConfigValue
		}
	}
	return answer{"configs": configs}, nil
}

func (d *driver) alterConfigs(limit context.Context, c *command) (answer, error) {
	changes := []kafka.IncrementalAlterConfigsRequestConfig{}
	for name, value := range c.Set {
		changes = append(changes, kafka.IncrementalAlterConfigsRequestConfig{Name: name, Value: value, ConfigOperation: kafka.ConfigOperationSet})
	}
	for _, name := range c.Unset {
		changes = append(changes, kafka.IncrementalAlterConfigsRequestConfig{Name: name, ConfigOperation: kafka.ConfigOperationDelete})
	}
	wanted := kafka.IncrementalAlterConfigsRequestResource{ResourceType: kindOf(c), ResourceName: c.Name, Configs: changes}
	found, err := d.client.IncrementalAlterConfigs(limit, &kafka.IncrementalAlterConfigsRequest{
		Resources: []kafka.IncrementalAlterConfigsRequestResource{wanted},
	})
	if err != nil {
		return nil, err
	}
	all := answer{}
	for _, resource := range found.Resources {
		all[resource.ResourceName] = errorName(resource.Error)
	}
	return answer{"results": all}, nil
}

// offsetsAt asks for the offsets of a special time or of one in milliseconds; by partition.
func (d *driver) offsetsAt(limit context.Context, topic string, at int64) (map[int]int64, error) {
	found, err := d.client.Metadata(limit, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return nil, err
	}
	wanted := []kafka.OffsetRequest{}
	for _, each := range found.Topics {
		for _, partition := range each.Partitions {
			wanted = append(wanted, kafka.OffsetRequest{Partition: partition.ID, Timestamp: at})
		}
	}
	listed, err := d.client.ListOffsets(limit, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: wanted}})
	if err != nil {
		return nil, err
	}
	offsets := map[int]int64{}
	for _, each := range listed.Topics[topic] {
		if each.Error != nil {
			return nil, each.Error
		}
		switch at {
		case kafka.FirstOffset:
			offsets[each.Partition] = each.FirstOffset
		case kafka.LastOffset:
			offsets[each.Partition] = each.LastOffset
		default:
			offsets[each.Partition] = -1
			for offset := range each.Offsets {
				offsets[each.Partition] = offset
			}
		}
	}
	return offsets, nil
}

func (d *driver) listOffsets(limit context.Context, c *command) (answer, error) {
	at := kafka.LastOffset
	switch wanted := c.At.(type) {
	case float64:
		at = int64(wanted)
	case string:
		if wanted == "earliest" {
			at = kafka.FirstOffset
		} else if wanted == "max" {
			return unsupported, nil
		}
	}
	offsets, err := d.offsetsAt(limit, c.Topic, at)
	return answer{"offsets": offsets}, err
}

func (d *driver) serveGroups(limit context.Context, c *command) (answer, error) {
	switch c.Do {
	case "listGroups":
		found, err := d.client.ListGroups(limit, &kafka.ListGroupsRequest{})
		if err != nil {
			return nil, err
		}
		groups := []string{}
		for _, each := range found.Groups {
			groups = append(groups, each.GroupID)
		}
		return answer{"groups": groups}, nil
	case "describeGroup":
		found, err := d.client.DescribeGroups(limit, &kafka.DescribeGroupsRequest{GroupIDs: []string{c.Group}})
		if err != nil {
			return nil, err
		}
		group := found.Groups[0]
		return answer{"state": strings.ToLower(group.GroupState), "members": len(group.Members)}, nil
	case "deleteGroups":
		found, err := d.client.DeleteGroups(limit, &kafka.DeleteGroupsRequest{GroupIDs: c.Groups})
		if err != nil {
			return nil, err
		}
		return results(found.Errors, errorName), nil
	case "groupOffsets":
		return d.groupOffsets(limit, c.Group)
	case "setGroupOffsets":
		return d.setGroupOffsets(limit, c)
	case "deleteGroupOffsets":
		return d.deleteGroupOffsets(limit, c)
	}
	return unsupported, nil
}

func (d *driver) groupOffsets(limit context.Context, group string) (answer, error) {
	found, err := d.client.OffsetFetch(limit, &kafka.OffsetFetchRequest{GroupID: group})
	if err != nil {
		return nil, err
	}
	offsets := map[string]map[string]int64{}
	for topic, partitions := range found.Topics {
		offsets[topic] = map[string]int64{}
		for _, each := range partitions {
			if each.CommittedOffset >= 0 {
				offsets[topic][strconv.Itoa(each.Partition)] = each.CommittedOffset
			}
		}
	}
	return answer{"offsets": offsets}, nil
}

func (d *driver) setGroupOffsets(limit context.Context, c *command) (answer, error) {
	commits := []kafka.OffsetCommit{}
	for partition, offset := range c.offsets() {
		commits = append(commits, kafka.OffsetCommit{Partition: int(partition), Offset: offset})
	}
	found, err := d.client.OffsetCommit(limit, &kafka.OffsetCommitRequest{
		GroupID: c.Group, GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{c.Topic: commits},
	})
	if err != nil {
		return nil, err
	}
	for _, each := range found.Topics[c.Topic] {
		if each.Error != nil {
			return nil, each.Error
		}
	}
	return answer{}, nil
}

func (d *driver) deleteGroupOffsets(limit context.Context, c *command) (answer, error) {
	partitions := []int{}
	for _, partition := range c.Partitions {
		partitions = append(partitions, int(partition))
	}
	found, err := d.client.OffsetDelete(limit, &kafka.OffsetDeleteRequest{
		GroupID: c.Group, Topics: map[string][]int{c.Topic: partitions},
	})
	if err != nil {
		return nil, err
	}
	for _, each := range found.Topics[c.Topic] {
		if each.Error != nil {
			return nil, each.Error
		}
	}
	return answer{}, nil
}
