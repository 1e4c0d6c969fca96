package topology

import (
	"fmt"
	"path"
	"runtime"
	"strings"
)

// place returns the file and line of the program that declares what this package
// is called for, as "shop.go:41": the innermost caller outside of the package.
func place() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "runtime.") && (path.Dir(f.File) != thisFolder || strings.HasSuffix(f.File, "_test.go")) {
			return position(f)
		}
		if !more {
			return ""
		}
	}
}

// thisFolder tells frames of this package: the names of their functions do not, as
// an iterator that is inlined is one of its caller's.
var thisFolder = func() string {
	_, file, _, _ := runtime.Caller(0)
	return path.Dir(file)
}()

func position(f runtime.Frame) string {
	return fmt.Sprintf("%s:%d", path.Base(f.File), f.Line)
}
