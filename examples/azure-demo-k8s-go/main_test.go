package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestPaths(t *testing.T) {
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{http.MethodGet, "/", "azure-demo-k8s-go development\n", http.StatusOK},
		{http.MethodGet, "/healthz", "ok\n", http.StatusOK},
		{http.MethodGet, "/nothing", "404 page not found\n", http.StatusNotFound},
		{http.MethodPost, "/", "Method Not Allowed\n", http.StatusMethodNotAllowed},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			answer := httptest.NewRecorder()
			handler().ServeHTTP(answer, httptest.NewRequest(c.method, c.path, nil))
			if answer.Code != c.status || answer.Body.String() != c.body {
				t.Errorf("got %d %q, want %d %q", answer.Code, answer.Body.String(), c.status, c.body)
			}
		})
	}
}

func TestServeEndsWhenItIsTold(t *testing.T) {
	stop, cancel := context.WithCancel(context.Background())
	cancel()
	if err := serve(stop, "127.0.0.1:0"); err != nil {
		t.Errorf("got %v, want a clean end", err)
	}
}

func TestServeSaysThatItsAddressIsTaken(t *testing.T) {
	taken := httptest.NewServer(handler())
	defer taken.Close()
	if err := serve(context.Background(), taken.Listener.Addr().String()); err == nil {
		t.Error("got no error for an address that is taken")
	}
}
