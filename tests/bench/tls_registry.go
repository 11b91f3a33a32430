// The in-memory registry of go-containerregistry behind TLS, with HTTP/2. `crane registry serve` does
// not offer TLS.
// Usage: tls_registry ADDRESS CERTIFICATE KEY
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
	// The registry handles one upload at a time. Go's own limit for an HTTP/2 connection would be used
	// up by the waiting uploads, and all of them would block.
	limits := &http.HTTP2Config{MaxReceiveBufferPerConnection: 1 << 26, MaxReceiveBufferPerStream: 1 << 20}
	server := &http.Server{Addr: os.Args[1], Handler: handler, HTTP2: limits}
	log.Fatal(server.ListenAndServeTLS(os.Args[2], os.Args[3]))
}
