package codec_test

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/tidemark-dev/tidemark/codec"
)

// What Java's LongSerializer writes of Instant.toEpochMilli.
func TestTimeIsKafkasLongOfMilliseconds(t *testing.T) {
	for _, test := range []struct {
		v    time.Time
		want []byte
	}{
		{time.Unix(0, 0), []byte{0, 0, 0, 0, 0, 0, 0, 0}},
		{time.UnixMilli(-1), []byte{255, 255, 255, 255, 255, 255, 255, 255}},
		{time.Date(2024, 1, 2, 3, 4, 5, 678e6, time.UTC), []byte{0, 0, 0x01, 0x8c, 0xc8, 0x20, 0xdb, 0x2e}},
		{time.Time{}, []byte{0xff, 0xff, 0xc7, 0x7c, 0xed, 0xd3, 0x28, 0x00}},
		{time.UnixMilli(math.MaxInt64), []byte{127, 255, 255, 255, 255, 255, 255, 255}},
		{time.UnixMilli(math.MinInt64), []byte{128, 0, 0, 0, 0, 0, 0, 0}},
	} {
		got, err := codec.Time{}.Encode(test.v)
		if err != nil || !bytes.Equal(got, test.want) {
			t.Errorf("Encode(%v) = %x, %v, want %x", test.v, got, err, test.want)
		}
		back, err := codec.Time{}.Decode(test.want)
		if err != nil || back != test.v.UTC() {
			t.Errorf("Decode(%x) = %v, %v, want %v", test.want, back, err, test.v)
		}
	}
}

func TestTimeCutsTowardsThePast(t *testing.T) {
	for v, want := range map[time.Time]int64{
		time.Unix(1, 1_999_999):          1001,
		time.Unix(-1, 1):                 -1000,
		time.Unix(0, -1):                 -1,
		time.UnixMilli(-5).Add(-999_999): -6,
	} {
		data, err := codec.Time{}.Encode(v)
		if err != nil {
			t.Errorf("Encode(%v): %v", v, err)
		}
		if got, err := (codec.Int64{}).Decode(data); err != nil || got != want {
			t.Errorf("Encode(%v) = %d ms, %v, want %d", v, got, err, want)
		}
	}
}

func TestTimeRefuses(t *testing.T) {
	first, last := time.UnixMilli(math.MinInt64), time.UnixMilli(math.MaxInt64)
	for _, v := range []time.Time{
		first.Add(-time.Nanosecond), last.Add(time.Millisecond), time.Unix(math.MaxInt64, 0), time.Unix(math.MinInt64, 0),
	} {
		if data, err := (codec.Time{}).Encode(v); err == nil {
			t.Errorf("Encode(%d s) = %x", v.Unix(), data)
		}
	}
	if _, err := (codec.Time{}).Encode(last.Add(time.Millisecond - 1)); err != nil {
		t.Error(err)
	}
	_, err := codec.Time{}.Encode(time.Unix(math.MaxInt64/1000+1, 0))
	if want := "time 9223372036854776 s from 1970: its milliseconds don't fit 64 bits"; errorText(err) != want {
		t.Errorf("got %q, want %q", errorText(err), want)
	}
	if _, err := (codec.Time{}).Decode([]byte("2024")); errorText(err) != `4 bytes "2024", not the 8 of a time` {
		t.Error(err)
	}
}

// RFC 3339 has years of four digits, and milliseconds stand for the others.
func TestTimeText(t *testing.T) {
	for v, want := range map[time.Time]string{
		{}:                              `"0001-01-01T00:00:00Z"`,
		time.UnixMilli(253402300799999): `"9999-12-31T23:59:59.999Z"`,
		time.UnixMilli(253402300800000): "253402300800000",
		time.UnixMilli(-62167219200000): `"0000-01-01T00:00:00Z"`,
		time.UnixMilli(-62167219200001): "-62167219200001",
	} {
		data, err := codec.Time{}.Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := (codec.Time{}).FormatText(data); err != nil || string(got) != want {
			t.Errorf("FormatText(%d) = %s, %v, want %s", v.UnixMilli(), got, err, want)
		}
		sameText(t, codec.Time{}, data)
	}
}

func FuzzTime(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 7})
	f.Add([]byte{128, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{127, 255, 255, 255, 255, 255, 255, 255})
	f.Add([]byte("2024-01-02T03:04:05Z"))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := codec.Time{}.Decode(data)
		if (err == nil) != (len(data) == 8) {
			t.Fatalf("Decode(%x) = %v, %v", data, v, err)
		}
		sameErrors(t, codec.Time{}, data, err)
		if err != nil {
			return
		}
		if v.Location() != time.UTC {
			t.Errorf("Decode(%x) is in %v", data, v.Location())
		}
		if back, err := (codec.Time{}).Encode(v); err != nil || !bytes.Equal(back, data) {
			t.Errorf("Encode(%v) = %x, %v, want %x", v, back, err, data)
		}
		sameText(t, codec.Time{}, data)
	})
}
