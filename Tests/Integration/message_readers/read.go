// Go: the packages net/mail, mime and mime/multipart.
package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"strings"
)

type part struct {
	Types       string `json:"types"`
	Disposition string `json:"disposition"`
	Filename    string `json:"filename"`
	ID          string `json:"id"`
	SHA256      string `json:"sha256"`
}

type reading struct {
	Subject string      `json:"subject"`
	Note    string      `json:"note"`
	From    [][2]string `json:"from"`
	To      [][2]string `json:"to"`
	Cc      [][2]string `json:"cc"`
	ReplyTo [][2]string `json:"reply_to"`
	Parts   []part      `json:"parts"`
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func text(value string) string {
	decoded, err := new(mime.WordDecoder).DecodeHeader(value)
	check(err)
	return decoded
}

func addresses(header mail.Header, name string) [][2]string {
	found := [][2]string{}
	if header.Get(name) == "" {
		return found
	}
	list, err := header.AddressList(name)
	check(err)
	for _, address := range list {
		found = append(found, [2]string{address.Name, address.Address})
	}
	return found
}

func visit(get func(string) string, body io.Reader, around string, parts *[]part) {
	kind, parameters, err := mime.ParseMediaType(get("Content-Type"))
	check(err)
	types := strings.TrimSpace(around + " " + kind)
	if strings.HasPrefix(kind, "multipart/") {
		reader := multipart.NewReader(body, parameters["boundary"])
		for {
			inner, err := reader.NextRawPart()
			if err == io.EOF {
				return
			}
			check(err)
			visit(inner.Header.Get, inner, types, parts)
		}
	}
	found := part{Types: types, ID: get("Content-ID")}
	if disposition := get("Content-Disposition"); disposition != "" {
		kind, parameters, err := mime.ParseMediaType(disposition)
		check(err)
		found.Disposition = kind
		found.Filename = parameters["filename"]
	}
	switch get("Content-Transfer-Encoding") {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	default:
		panic("another encoding")
	}
	hash := sha256.New()
	_, err = io.Copy(hash, body)
	check(err)
	found.SHA256 = hex.EncodeToString(hash.Sum(nil))
	*parts = append(*parts, found)
}

func main() {
	input := bufio.NewReader(os.Stdin)
	output := json.NewEncoder(os.Stdout)
	for {
		var length uint32
		if binary.Read(input, binary.BigEndian, &length) == io.EOF {
			return
		}
		octets := make([]byte, length)
		_, err := io.ReadFull(input, octets)
		check(err)
		message, err := mail.ReadMessage(bytes.NewReader(octets))
		check(err)
		header := message.Header
		found := reading{
			Subject: text(header.Get("Subject")), Note: text(header.Get("X-Note")),
			From: addresses(header, "From"), To: addresses(header, "To"), Cc: addresses(header, "Cc"),
			ReplyTo: addresses(header, "Reply-To"),
		}
		visit(header.Get, message.Body, "", &found.Parts)
		check(output.Encode(found))
	}
}
