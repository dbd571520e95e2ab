// Go: net/mail, once with only the charsets that it knows, and once with all other charsets copied octet by octet.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"net/mail"
	"os"
	"strings"
)

func main() {
	input := bufio.NewReader(os.Stdin)
	output := bufio.NewWriter(os.Stdout)
	defer output.Flush()
	lax := &mime.WordDecoder{CharsetReader: func(charset string, text io.Reader) (io.Reader, error) { return text, nil }}
	strict := &mime.WordDecoder{}
	for {
		var length uint32
		if binary.Read(input, binary.BigEndian, &length) != nil {
			return
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(input, body); err != nil {
			panic(err)
		}
		raw := string(body)
		unfolded := strings.NewReplacer("\r\n ", " ", "\r\n\t", "\t").Replace(raw)
		texts := []string{raw, unfolded}
		for _, decoder := range []*mime.WordDecoder{lax, strict} {
			if decoded, err := decoder.DecodeHeader(unfolded); err == nil {
				texts = append(texts, decoded)
			}
		}
		found := map[string]bool{}
		add := func(addresses []*mail.Address) {
			for _, address := range addresses {
				if address != nil && !found[address.Address] {
					found[address.Address] = true
					fmt.Fprint(output, hex.EncodeToString([]byte(address.Address)), " ")
				}
			}
		}
		for _, text := range texts {
			for _, decoder := range []*mime.WordDecoder{lax, strict} {
				parser := mail.AddressParser{WordDecoder: decoder}
				if list, err := parser.ParseList(text); err == nil {
					add(list)
				}
				if one, err := parser.Parse(text); err == nil {
					add([]*mail.Address{one})
				}
			}
		}
		if message, err := mail.ReadMessage(strings.NewReader("From: " + raw + "\r\n\r\n")); err == nil {
			if list, err := message.Header.AddressList("From"); err == nil {
				add(list)
			}
		}
		fmt.Fprintln(output)
	}
}
