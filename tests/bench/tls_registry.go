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
	log.Fatal(http.ListenAndServeTLS(os.Args[1], os.Args[2], os.Args[3], handler))
}
