// Command verify verifies leaves as Calico's components do, with Go's crypto/x509.
//
//	verify ROOTS LEAF-AND-INTERMEDIATES
//
// It fails, and says why, unless the first certificate of the second file verifies for servers and for clients.
package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

func main() {
	if err := verify(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func verify(rootFile, chainFile string) error {
	text, err := os.ReadFile(rootFile)
	if err != nil {
		return err
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return errors.New("no roots")
	}
	text, err = os.ReadFile(chainFile)
	if err != nil {
		return err
	}
	block, rest := pem.Decode(text)
	if block == nil {
		return errors.New("no leaf")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	intermediates.AppendCertsFromPEM(rest)
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		options := x509.VerifyOptions{Roots: roots, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{usage}}
		if _, err := leaf.Verify(options); err != nil {
			return err
		}
	}
	return nil
}
