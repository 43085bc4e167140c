package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// The oracle of server-side apply: upstream's own field manager over structured-merge-diff, without an API server around
// it. It reads one request a line and writes one answer a line; its argument is a file of OpenAPI definitions.
type question struct {
	Manager string
	Force   bool
	Live    map[string]interface{}
	Config  map[string]interface{}
	Zero    map[string]interface{}
	Reset   [][]string
}

type sameVersion struct{}

func (sameVersion) Convert(in, out, context interface{}) error { return fmt.Errorf("one version only") }
func (sameVersion) ConvertToVersion(in runtime.Object, _ runtime.GroupVersioner) (runtime.Object, error) {
	return in.DeepCopyObject(), nil
}
func (sameVersion) ConvertFieldLabel(schema.GroupVersionKind, string, string) (string, string, error) {
	return "", "", nil
}

type noDefaults struct{}

func (noDefaults) Default(runtime.Object) {}

type creator struct{ zero map[string]interface{} }

func (c creator) New(schema.GroupVersionKind) (runtime.Object, error) {
	return (&unstructured.Unstructured{Object: c.zero}).DeepCopyObject(), nil
}

func oracle(definitions string) error {
	raw, err := os.ReadFile(definitions)
	if err != nil {
		return err
	}
	schemas := map[string]*spec.Schema{}
	if err := json.Unmarshal(raw, &schemas); err != nil {
		return err
	}
	converter, err := managedfields.NewTypeConverter(schemas, false)
	if err != nil {
		return err
	}
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return nil
		}
		var asked question
		if err := json.Unmarshal(line, &asked); err != nil {
			return err
		}
		answer, err := json.Marshal(asked.answer(converter))
		if err != nil {
			return err
		}
		fmt.Printf("%s\n", answer)
	}
}

func (q question) answer(converter managedfields.TypeConverter) map[string]interface{} {
	live := &unstructured.Unstructured{Object: whole(q.Live).(map[string]interface{})}
	config := &unstructured.Unstructured{Object: whole(q.Config).(map[string]interface{})}
	kind := config.GroupVersionKind()
	reset := fieldpath.NewSet()
	for _, path := range q.Reset {
		parts := []interface{}{}
		for _, part := range path {
			parts = append(parts, part)
		}
		reset.Insert(fieldpath.MakePathOrDie(parts...))
	}
	filters := map[fieldpath.APIVersion]fieldpath.Filter{
		fieldpath.APIVersion(kind.GroupVersion().String()): fieldpath.NewExcludeSetFilter(reset),
	}
	zero, _ := whole(q.Zero).(map[string]interface{})
	manager, err := managedfields.NewDefaultFieldManager(
		converter, sameVersion{}, noDefaults{}, creator{zero}, kind, kind.GroupVersion(), "", filters)
	if err != nil {
		return map[string]interface{}{"error": err.Error()}
	}
	applied, err := manager.Apply(live, config, q.Manager, q.Force)
	if err != nil {
		answer := map[string]interface{}{"error": err.Error()}
		if status, ok := err.(*apierrors.StatusError); ok && status.ErrStatus.Details != nil {
			answer["causes"] = status.ErrStatus.Details.Causes
		}
		return answer
	}
	return map[string]interface{}{"object": applied.(*unstructured.Unstructured).Object}
}

// whole turns JSON's floats that are whole numbers into the integers that the API machinery insists on.
func whole(value interface{}) interface{} {
	switch typed := value.(type) {
	case map[string]interface{}:
		for key, item := range typed {
			typed[key] = whole(item)
		}
	case []interface{}:
		for index, item := range typed {
			typed[index] = whole(item)
		}
	case float64:
		if typed == float64(int64(typed)) {
			return int64(typed)
		}
	}
	return value
}
