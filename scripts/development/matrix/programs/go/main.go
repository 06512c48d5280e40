// Command matrix verifies certificates with Go's crypto/x509, as Calico's components do.
//
// Its argument names a file with one question per line: number, file of the chain (leaf first), file of the trusted root,
// host (empty: none is compared), and server or client, separated by tabs. It answers with one line for each: the number, a
// tab, and why Go refuses the certificate, or nothing where it does not. What cannot be read ends the program.
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
)

var usages = map[string]x509.ExtKeyUsage{"server": x509.ExtKeyUsageServerAuth, "client": x509.ExtKeyUsageClientAuth}

func main() {
	if err := answer(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func answer(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	questions := bufio.NewScanner(file)
	for questions.Scan() {
		question := strings.Split(questions.Text(), "\t")
		chain, err := certificates(question[1])
		if err != nil {
			return err
		}
		root, err := certificates(question[2])
		if err != nil {
			return err
		}
		fmt.Printf("%s\t%s\n", question[0], verify(chain, root[0], question[3], usages[question[4]]))
	}
	return questions.Err()
}

func verify(chain []*x509.Certificate, root *x509.Certificate, host string, usage x509.ExtKeyUsage) string {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root)
	for _, each := range chain[1:] {
		intermediates.AddCert(each)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		DNSName:       host,
		Roots:         roots,
		Intermediates: intermediates,
		KeyUsages:     []x509.ExtKeyUsage{usage},
	})
	if err != nil {
		return strings.Join(strings.Fields(err.Error()), " ")
	}
	return ""
}

func certificates(name string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var found []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		parsed, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		found = append(found, parsed)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no certificate in %q", name)
	}
	return found, nil
}
