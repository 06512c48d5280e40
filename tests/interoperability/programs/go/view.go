package main

import (
	"bufio"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
)

// View is what the parser found; all other fields are empty if Refused says why the request cannot be parsed.
type View struct {
	Refused     string      `json:"refused"`
	Version     int         `json:"version"`
	Subject     [][2]string `json:"subject"`
	DNSNames    []string    `json:"dns_names"`
	IPAddresses []string    `json:"ip_addresses"`
	OtherNames  int         `json:"other_names"`
	Extensions  [][2]string `json:"extensions"`
	PublicKey   string      `json:"public_key"`
}

// view reads requests from standard input, each after its length (4 bytes, big-endian), and prints a line of JSON for each.
func view([]string) error {
	requests, views := bufio.NewReader(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var size uint32
		if err := binary.Read(requests, binary.BigEndian, &size); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		request := make([]byte, size)
		if _, err := io.ReadFull(requests, request); err != nil {
			return err
		}
		if err := views.Encode(parsed(request)); err != nil {
			return err
		}
	}
}

// parsed makes the same calls in the same order as pkg/apis/certificates and its validation.
func parsed(text []byte) View {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return View{Refused: "PEM block type must be CERTIFICATE REQUEST"}
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return View{Refused: err.Error()}
	}
	if err := request.CheckSignature(); err != nil {
		return View{Refused: err.Error()}
	}
	seen := View{
		Version:     request.Version,
		Subject:     [][2]string{},
		DNSNames:    append([]string{}, request.DNSNames...),
		IPAddresses: []string{},
		OtherNames:  len(request.EmailAddresses) + len(request.URIs),
		Extensions:  [][2]string{},
		PublicKey:   hex.EncodeToString(request.RawSubjectPublicKeyInfo),
	}
	for _, attribute := range request.Subject.Names {
		seen.Subject = append(seen.Subject, [2]string{attribute.Type.String(), fmt.Sprint(attribute.Value)})
	}
	for _, address := range request.IPAddresses {
		seen.IPAddresses = append(seen.IPAddresses, hex.EncodeToString(address))
	}
	for _, extension := range request.Extensions {
		seen.Extensions = append(seen.Extensions, [2]string{extension.Id.String(), hex.EncodeToString(extension.Value)})
	}
	return seen
}
