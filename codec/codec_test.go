package codec_test

import (
	"fmt"

	"github.com/tidemark-dev/tidemark/codec"
)

// Every codec of the package can check without decoding.
var _ = []codec.Checker{codec.String{}, codec.Bytes{}, codec.Int64{}, codec.JSON[any]{}}

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
