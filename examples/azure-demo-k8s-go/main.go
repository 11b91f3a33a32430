// Command azure-demo-k8s-go answers on two paths: / with its version, /healthz for the cluster's probes.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// version is set by the build: go build -ldflags "-X main.version=1.0.0".
var version = "development"

const (
	headerTimeout = 5 * time.Second
	drainTimeout  = 10 * time.Second
)

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	if err := serve(stop, ":"+port); err != nil {
		log.Fatal(err)
	}
}

// serve answers on address until stop is done, then waits for open requests to finish.
func serve(stop context.Context, address string) error {
	server := &http.Server{Addr: address, Handler: handler(), ReadHeaderTimeout: headerTimeout}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	log.Printf("version %s listens on %s", version, address)
	select {
	case err := <-failed:
		return err
	case <-stop.Done():
	}
	drain, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	return server.Shutdown(drain)
}

// handler maps the two paths; everything else is 404.
func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "azure-demo-k8s-go %s\n", version)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	return mux
}
