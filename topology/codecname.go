package topology

import (
	"reflect"
	"regexp"
)

var (
	directories = regexp.MustCompile(`([\w.~-]+/)+`)
	localType   = regexp.MustCompile(`·\d+`)
)

// codecName is the type of a codec, with those that it holds: a codec of windowed
// keys has one of keys. Packages are named without their path.
func codecName(c any) string {
	v := reflect.ValueOf(c)
	if !v.IsValid() {
		return ""
	}
	return typeOfCodec(v)
}

func typeOfCodec(v reflect.Value) string {
	name := localType.ReplaceAllString(directories.ReplaceAllString(v.Type().String(), ""), "")
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return name
	}
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Interface && !f.IsNil() {
			if _, ok := f.Elem().Type().MethodByName("Encode"); ok {
				name += " of " + typeOfCodec(f.Elem())
			}
		}
	}
	return name
}
