package cmd

import (
	"strings"
	"testing"
)

func TestDemo(t *testing.T) {
	code, stdout, stderr := invoke(t, program(), "", "demo", "--records", "500", "--rate", "0")
	if code != 0 || !strings.Contains(stdout, "500 records acknowledged, 500 in the journal, 500 processed here") ||
		!strings.Contains(stdout, "Journal, tables and sinks agree.") {
		t.Errorf("exit %d, stdout %s, stderr %s", code, stdout, stderr)
	}
}
