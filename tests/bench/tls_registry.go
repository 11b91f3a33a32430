// The registry in memory of go-containerregistry behind TLS, HTTP/2 included: what `crane registry serve` does not offer.
// Called as: tls_registry ADDRESS CERTIFICATE KEY
package main

import (
	"io"
	"log"
	"net/http"
	"os"

	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	// The registry takes one upload at a time. With Go's own limit for a whole HTTP/2 connection those that wait would fill it, and all would stand still.
	limits := &http.HTTP2Config{MaxReceiveBufferPerConnection: 1 << 26, MaxReceiveBufferPerStream: 1 << 20}
	server := &http.Server{Addr: os.Args[1], Handler: handler, HTTP2: limits}
	log.Fatal(server.ListenAndServeTLS(os.Args[2], os.Args[3]))
}
