// A server of Google Cloud Storage for tests: fake-gcs-server, in a folder, on loopback.
//
// The clients of obstore write an object with a plain PUT of Google's XML API. fake-gcs-server reads, lists and
// deletes as that API does, but takes a PUT only if its address is signed, and answers it without an ETag: both are
// added here.
package main

import (
	"flag"
	"log"
	"net/http"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

func taken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && r.URL.RawQuery == "" {
			r.URL.RawQuery = "X-Goog-Algorithm=none"
			w.Header().Set("ETag", `"none"`)
		}
		next.ServeHTTP(w, r)
	})
}

func main() {
	address := flag.String("address", "", "host:port to listen on")
	folder := flag.String("folder", "", "where objects are; each folder in it is a bucket")
	certificate := flag.String("certificate", "", "PEM file of the chain; none: no TLS")
	key := flag.String("key", "", "PEM file of its key")
	flag.Parse()
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{
		NoListener:  true,
		StorageRoot: *folder,
		PublicHost:  *address,
	})
	if err != nil {
		log.Fatal(err)
	}
	handler := taken(server.HTTPHandler())
	if *certificate == "" {
		log.Fatal(http.ListenAndServe(*address, handler))
	}
	log.Fatal(http.ListenAndServeTLS(*address, *certificate, *key, handler))
}
