package main

import (
	"fmt"
	"strings"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/sr"
)

// levels are the words a subject's compatibility may be set to.
var levels = map[string]bool{
	"NONE":     true,
	"BACKWARD": true, "BACKWARD_TRANSITIVE": true,
	"FORWARD": true, "FORWARD_TRANSITIVE": true,
	"FULL": true, "FULL_TRANSITIVE": true,
}

// problems compares a schema with the earlier versions of its subject, as far back as the level says; none when it
// fits. The error says that a schema is not Avro.
func (f *front) problems(subject string, next sr.Schema, earlier []int) ([]string, error) {
	level := f.level(subject)
	reader, err := f.parse(next, &avro.SchemaCache{})
	if err != nil || level == "NONE" || len(earlier) == 0 {
		return nil, err
	}
	direction, transitive := strings.CutSuffix(level, "_TRANSITIVE")
	if !transitive {
		earlier = earlier[len(earlier)-1:]
	}
	var found []string
	for _, version := range earlier {
		old, ok := f.store.GetSchema(subject, version)
		if !ok || old.Type != sr.TypeAvro {
			continue
		}
		writer, err := f.parse(old.Schema, &avro.SchemaCache{})
		if err != nil {
			return nil, err
		}
		rules := avro.NewSchemaCompatibility()
		if err := rules.Compatible(reader, writer); err != nil && direction != "FORWARD" {
			found = append(found, fmt.Sprintf("the new schema cannot read data of version %d: %v", version, err))
		}
		if err := rules.Compatible(writer, reader); err != nil && direction != "BACKWARD" {
			found = append(found, fmt.Sprintf("version %d cannot read data of the new schema: %v", version, err))
		}
	}
	return found, nil
}

// parse reads a schema after those it refers to, which must be in the same cache.
func (f *front) parse(schema sr.Schema, cache *avro.SchemaCache) (avro.Schema, error) {
	for _, reference := range schema.References {
		// A reference that is not there is the store's to refuse: it knows the code.
		if base, ok := f.store.GetSchema(reference.Subject, reference.Version); ok {
			if _, err := f.parse(base.Schema, cache); err != nil {
				return nil, err
			}
		}
	}
	return avro.ParseBytesWithCache([]byte(schema.Schema), "", cache)
}
