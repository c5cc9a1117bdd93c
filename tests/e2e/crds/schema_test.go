package crds

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
)

// walk visits every field of a schema below its root: "spec.storage.size", lists as "[]", the values
// of maps as "{}".
func walk(schema map[string]any, path string, visit func(path string, field map[string]any)) {
	if path != "" {
		visit(path, schema)
	}
	if properties, ok := schema["properties"].(map[string]any); ok {
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			walk(properties[name].(map[string]any), strings.TrimPrefix(path+"."+name, "."), visit)
		}
	}
	if items, ok := schema["items"].(map[string]any); ok {
		walk(items, path+"[]", visit)
	}
	if values, ok := schema["additionalProperties"].(map[string]any); ok {
		walk(values, path+"{}", visit)
	}
}

func (s suite) describedAndBounded() {
	for kind, schema := range s.schemas() {
		fields := 0
		if schema["description"] == nil {
			s.t.Errorf("%s is not described", kind)
		}
		walk(schema, "", func(path string, field map[string]any) {
			if path == "metadata" {
				return // Kubernetes'
			}
			fields++
			if field["description"] == nil && !strings.HasSuffix(path, "[]") && !strings.HasSuffix(path, "{}") {
				s.t.Errorf("%s: %s is not described", kind, path)
			}
			if lacking := unbounded(path, field); lacking != "" {
				s.t.Errorf("%s: %s has no %s", kind, path, lacking)
			}
		})
		s.t.Logf("%s: %d fields", kind, fields)
	}
}

// unbounded names the bound that a field should have and has not.
func unbounded(path string, field map[string]any) string {
	has := func(key string) bool { return field[key] != nil }
	switch {
	case has("enum"), field["format"] == "date-time":
		return ""
	case field["x-kubernetes-int-or-string"] == true, field["type"] == "string":
		if !has("maxLength") {
			return "maxLength"
		}
	case field["type"] == "array":
		if !has("maxItems") {
			return "maxItems"
		}
		if !has("x-kubernetes-list-type") {
			return "x-kubernetes-list-type"
		}
	case has("additionalProperties"):
		if !has("maxProperties") {
			return "maxProperties"
		}
	case field["type"] == "integer":
		if !has("minimum") {
			return "minimum"
		}
		// What the operator counts has no end; what a user says has.
		if strings.HasPrefix(path, "spec") && !has("maximum") && !strings.HasSuffix(path, "evision") {
			return "maximum"
		}
	}
	return ""
}

func (s suite) sharedParts() {
	schemas := s.schemas()
	part := func(kind string, path ...string) any {
		value := any(schemas[kind])
		for _, name := range path {
			value = at(value, "properties", name)
		}
		if value == nil {
			s.t.Fatalf("%s has no %v", kind, path)
		}
		return value
	}
	target := part("HoldfastBackup", "spec", "target")
	stored := part("HoldfastRestore", "spec", "source", "stored")
	for what, pair := range map[string][2]any{
		"a schedule's target":        {part("HoldfastBackupSchedule", "spec", "target"), target},
		"a restore's target":         {at(stored, "properties", "target"), target},
		"what a cluster begins with": {part("HoldfastCluster", "spec", "bootstrap", "restore", "stored"), stored},
		"its bumpRevisions":          {part("HoldfastCluster", "spec", "bootstrap", "restore", "bumpRevisions"), part("HoldfastRestore", "spec", "bumpRevisions")},
		"the two sides' status":      {at(part("HoldfastCluster", "status", "tls", "client"), "properties"), at(part("HoldfastCluster", "status", "tls", "peer"), "properties")},
		"the two sides of TLS":       {at(part("HoldfastCluster", "spec", "tls", "client"), "properties"), at(part("HoldfastCluster", "spec", "tls", "peer"), "properties")},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			s.t.Errorf("%s: differs from what it is elsewhere", what)
		}
	}
	for kind := range schemas {
		if !reflect.DeepEqual(at(part(kind, "status", "conditions"), "items"), at(part("HoldfastCluster", "status", "conditions"), "items")) {
			s.t.Errorf("%s: its conditions differ from HoldfastCluster's", kind)
		}
	}
}

// samples applies what operator/api writes and finds all of it again; and there is no field of a
// schema that operator/api never writes.
func (s suite) samples() {
	written := map[string]map[string]bool{}
	for _, sample := range apiSamples(s.t) {
		kind := at(sample.Object, "kind").(string)
		if written[kind] == nil {
			written[kind] = map[string]bool{}
		}
		path := pathOf(sample.Object)
		answer := s.apply(path, "operator", sample.Object)
		if answer.Status != http.StatusCreated && answer.Status != http.StatusOK {
			s.t.Errorf("%s: %s", path, answer.Body)
			continue
		}
		stored := s.apply(path+"/status", "operator", sample.Status)
		if stored.Status != http.StatusOK {
			s.t.Errorf("%s/status: %s", path, stored.Body)
			continue
		}
		for _, half := range []string{"spec", "status"} {
			wrote := at(sample.Object, half)
			if half == "status" {
				wrote = at(sample.Status, half)
			}
			if lost := missing(wrote, at(stored.Object(), half), half); lost != "" {
				s.t.Errorf("%s: %s was written and is not there as it was", path, lost)
			}
			collect(wrote, half, written[kind])
		}
	}
	for kind, schema := range s.schemas() {
		walk(schema, "", func(path string, field map[string]any) {
			leaf := field["properties"] == nil && field["items"] == nil
			if leaf && path != "metadata" && !strings.HasSuffix(path, "{}") && !written[kind][path] {
				s.t.Errorf("%s: operator/api never writes %s", kind, path)
			}
		})
	}
}

// missing names the first value of wrote that stored does not hold; stored may hold defaults too.
func missing(wrote, stored any, path string) string {
	switch wrote := wrote.(type) {
	case map[string]any:
		for name, value := range wrote {
			if lost := missing(value, at(stored, name), path+"."+name); lost != "" {
				return lost
			}
		}
		if _, ok := stored.(map[string]any); !ok && len(wrote) > 0 {
			return path
		}
	case []any:
		list, _ := stored.([]any)
		if len(list) != len(wrote) {
			return path
		}
		for i := range wrote {
			if lost := missing(wrote[i], list[i], path+"[]"); lost != "" {
				return lost
			}
		}
	default:
		if !reflect.DeepEqual(wrote, stored) {
			return path
		}
	}
	return ""
}

// collect adds the paths of a value to paths, as walk names them.
func collect(value any, path string, paths map[string]bool) {
	paths[path] = true
	switch value := value.(type) {
	case map[string]any:
		for name, field := range value {
			collect(field, path+"."+name, paths)
		}
	case []any:
		for _, item := range value {
			collect(item, path+"[]", paths)
		}
	}
}

// defaults lets the API server and operator/api fill in the same objects.
func (s suite) defaults() {
	reference := map[string]any{"name": "db"}
	target := map[string]any{"s3": map[string]any{"bucket": "abc"}}
	empty := map[string]any{}
	var objects []map[string]any
	for name, spec := range map[string]map[string]any{
		"HoldfastCluster/nothing": {},
		"HoldfastCluster/empty-parts": {
			"storage": empty, "tls": map[string]any{"client": empty, "peer": empty}, "auth": empty,
			"options": map[string]any{"compaction": empty}, "podTemplate": empty, "service": empty, "networkPolicy": empty,
			"updatePolicy": map[string]any{"windows": []any{map[string]any{"schedule": "@daily"}}},
			"maintenance":  map[string]any{"defragment": map[string]any{"schedule": "@daily"}, "compact": map[string]any{"schedule": "@daily"}, "space": empty},
			"bootstrap":    map[string]any{"restore": map[string]any{"stored": map[string]any{"object": "o", "target": target}}},
			"recovery":     empty, "monitoring": empty,
		},
		"HoldfastCluster/issuer":       {"tls": map[string]any{"peer": map[string]any{"issuer": "CertManager", "issuerRef": reference}}},
		"HoldfastOperation/rotate":     {"clusterRef": reference, "type": "RotateCertificates", "rotateCertificates": empty},
		"HoldfastBackup/target":        {"clusterRef": reference, "target": target},
		"HoldfastBackupSchedule/daily": {"clusterRef": reference, "target": target, "schedule": "@daily", "retention": empty, "archive": empty},
		"HoldfastBackupSchedule/bare":  {"clusterRef": reference, "target": target, "schedule": "@daily"},
		"HoldfastRestore/source":       {"clusterRef": reference, "source": map[string]any{"backupRef": reference}},
	} {
		kind, suffix, _ := strings.Cut(name, "/")
		objects = append(objects, map[string]any{
			"apiVersion": "holdfast.dev/v1alpha1", "kind": kind,
			"metadata": map[string]any{"name": "default-" + suffix, "namespace": "default"}, "spec": spec,
		})
	}
	for i, theirs := range apiEcho(s.t, objects) {
		encoded, _ := json.Marshal(objects[i])
		path := pathOf(objects[i])
		stored := s.want(http.StatusCreated, http.MethodPost, path[:strings.LastIndex(path, "/")], "application/json", encoded)
		if read := apiEcho(s.t, []map[string]any{stored})[0]; !reflect.DeepEqual(at(read, "spec"), at(theirs, "spec")) {
			s.t.Errorf("%s: the schema's defaults give\n%v\nthose of operator/api\n%v", path, at(read, "spec"), at(theirs, "spec"))
		}
		if lost := lacking(at(theirs, "spec"), at(stored, "spec"), "spec"); lost != "" {
			s.t.Errorf("%s: operator/api has a default for %s and the schema has none", path, lost)
		}
	}
}

// lacking names the first value of wanted for which there is none in stored; empty objects are none.
func lacking(wanted, stored any, path string) string {
	fields, ok := wanted.(map[string]any)
	if !ok {
		if stored == nil {
			return path
		}
		return ""
	}
	for name, value := range fields {
		if lost := lacking(value, at(stored, name), path+"."+name); lost != "" {
			return lost
		}
	}
	return ""
}
