package codec_test

import (
	"fmt"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
)

// Every codec of the package can check without decoding.
var _ = []codec.Checker{codec.String{}, codec.Bytes{}, codec.Int64{}, codec.Int32{}, codec.Int16{}, codec.Float64{}, codec.Float32{}, codec.Bool{}, codec.Time{}, codec.JSON[any]{}, codec.Optional[any]{}}

func Example() {
	type greeting struct {
		State string `json:"state"`
		Count int64  `json:"helloCount"`
	}
	var values codec.Codec[greeting] = codec.JSON[greeting]{}

	data, err := values.Encode(greeting{"HAPPY", 1})
	fmt.Printf("%s %v\n", data, err)

	// A newer writer may have added a field.
	v, err := values.Decode([]byte(`{"state":"ANGRY","mood":7}`))
	fmt.Println(v, err)

	_, err = values.Decode([]byte(`null`))
	fmt.Println(err)
	// Output:
	// {"state":"HAPPY","helloCount":1} <nil>
	// {ANGRY 0} <nil>
	// null: a tombstone is a record without a value
}

func ExampleInt64() {
	data, _ := codec.Int64{}.Encode(258)
	fmt.Printf("%v\n", data)

	_, err := codec.Int64{}.Decode([]byte("258"))
	fmt.Println(err)
	// Output:
	// [0 0 0 0 0 0 1 2]
	// 3 bytes "258", not the 8 of an integer
}

func ExampleFloat64() {
	data, _ := codec.Float64{}.Encode(-1.5)
	fmt.Printf("%x\n", data)

	_, err := codec.Float64{}.Decode([]byte("-1.5"))
	fmt.Println(err)
	// Output:
	// bff8000000000000
	// 4 bytes "-1.5", not the 8 of a float
}

func ExampleBool() {
	data, _ := codec.Bool{}.Encode(true)
	fmt.Printf("%v\n", data)

	_, err := codec.Bool{}.Decode([]byte("t"))
	fmt.Println(err)
	// Output:
	// [1]
	// byte 116, not the 0 or 1 of a bool
}

func ExampleTime() {
	berlin := time.FixedZone("Berlin", 3600)
	data, _ := codec.Time{}.Encode(time.Date(2024, 1, 2, 3, 4, 5, 678_999_999, berlin))
	fmt.Printf("%x\n", data)

	v, _ := codec.Time{}.Decode(data)
	fmt.Println(v)
	// Output:
	// 0000018cc7e9ecae
	// 2024-01-02 02:04:05.678 +0000 UTC
}

func ExampleInt32() {
	data, _ := codec.Int32{}.Encode(258)
	fmt.Printf("%v\n", data)
	// Output: [0 0 1 2]
}

func ExampleInt16() {
	data, _ := codec.Int16{}.Encode(-2)
	fmt.Printf("%v\n", data)
	// Output: [255 254]
}

func ExampleFloat32() {
	data, _ := codec.Float32{}.Encode(-1.5)
	fmt.Printf("%x\n", data)
	// Output: bfc00000
}

func ExampleOptional() {
	values := codec.Optional[int32]{Of: codec.Int32{}}
	count := int32(258)
	data, _ := values.Encode(&count)
	fmt.Printf("%v\n", data)

	none, _ := values.Decode(nil) // a tombstone
	fmt.Println(none)
	// Output:
	// [0 0 1 2]
	// <nil>
}
