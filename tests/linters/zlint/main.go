// Lints the certificates of a folder with every lint of zlint, and prints what each has to say.
//
// Standard output has one JSON object a line, for each finding of notice or more: the file's name, the lint, its
// severity and details. An unreadable certificate is an error and no finding.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"
)

type finding struct {
	File     string `json:"file"`
	Lint     string `json:"lint"`
	Severity string `json:"severity"`
	Details  string `json:"details"`
}

func main() {
	if len(os.Args) != 2 {
		fail("usage: zlint FOLDER")
	}
	names, err := filepath.Glob(filepath.Join(os.Args[1], "*.der"))
	if err != nil || len(names) == 0 {
		fail("no certificates in %s: %v", os.Args[1], err)
	}
	encoder := json.NewEncoder(os.Stdout)
	for _, name := range names {
		encoded, err := os.ReadFile(name)
		if err != nil {
			fail("%v", err)
		}
		certificate, err := x509.ParseCertificate(encoded)
		if err != nil {
			fail("%s: %v", name, err)
		}
		for of, result := range zlint.LintCertificate(certificate).Results {
			if result.Status >= lint.Notice {
				found := finding{filepath.Base(name), of, result.Status.String(), result.Details}
				if err := encoder.Encode(found); err != nil {
					fail("%v", err)
				}
			}
		}
	}
}

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
	os.Exit(1)
}
