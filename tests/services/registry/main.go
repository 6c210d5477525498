// Command registry is a Confluent-compatible schema registry for tests. Subjects, versions, ids, references and
// deletion are those of franz-go's in-memory registry; this front adds what that one leaves out: Avro is parsed, and
// the compatibility level of a subject is enforced. Everything is forgotten when it ends.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

const maxBody = 1 << 20

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to serve on")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("listening on %s", listener.Addr())
	log.Fatal(http.Serve(listener, newFront()))
}

// front answers some requests itself and hands the rest to the store.
type front struct {
	store *srfake.Registry
	// One change at a time: a registration looks first and writes then.
	changes sync.Mutex
	// Subjects with a level of their own; the store does not tell them from those without.
	levelled sync.Map
}

func newFront() http.Handler {
	f := &front{store: srfake.NewRegistry(srfake.WithGlobalCompat(sr.CompatBackward))}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /subjects/{subject}/versions", f.register)
	mux.HandleFunc("POST /compatibility/subjects/{subject}/versions", f.compatible)
	mux.HandleFunc("POST /compatibility/subjects/{subject}/versions/{version}", f.compatible)
	mux.HandleFunc("GET /config/{subject}", f.readLevel)
	mux.HandleFunc("PUT /config/{subject}", f.writeLevel)
	mux.HandleFunc("DELETE /config/{subject}", f.dropLevel)
	mux.Handle("/", f.store.Handler())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			f.changes.Lock()
			defer f.changes.Unlock()
		}
		mux.ServeHTTP(w, r)
	})
}

// register refuses what the level forbids; the store does the rest.
func (f *front) register(w http.ResponseWriter, r *http.Request) {
	subject := r.PathValue("subject")
	next, raw, ok := readSchema(w, r)
	if !ok {
		return
	}
	known := next.Type == sr.TypeAvro && f.ask(http.MethodPost, "/subjects/"+url.PathEscape(subject), raw, nil) == http.StatusOK
	if next.Type == sr.TypeAvro && !known {
		problems, err := f.problems(subject, next, f.versions(subject))
		switch {
		case err != nil:
			refuse(w, http.StatusUnprocessableEntity, 42201, "Invalid schema: "+err.Error())
			return
		case len(problems) > 0:
			refuse(w, http.StatusConflict, http.StatusConflict, fmt.Sprintf(
				"Schema being registered is incompatible with an earlier schema for subject %q, details: %s",
				subject, strings.Join(problems, "; ")))
			return
		}
	}
	f.store.Handler().ServeHTTP(w, r)
}

// compatible answers the question without registering.
func (f *front) compatible(w http.ResponseWriter, r *http.Request) {
	subject, version := r.PathValue("subject"), r.PathValue("version")
	next, _, ok := readSchema(w, r)
	if !ok {
		return
	}
	if next.Type != sr.TypeAvro {
		f.store.Handler().ServeHTTP(w, r)
		return
	}
	earlier := f.versions(subject)
	switch {
	case version != "" && len(earlier) == 0:
		refuse(w, http.StatusNotFound, 40401, fmt.Sprintf("Subject '%s' not found.", subject))
		return
	case version != "" && version != "latest":
		var one struct{ Version int }
		if f.ask(http.MethodGet, "/subjects/"+url.PathEscape(subject)+"/versions/"+version, nil, &one) != http.StatusOK {
			refuse(w, http.StatusNotFound, 40402, "Version "+version+" not found.")
			return
		}
		earlier = []int{one.Version}
	}
	problems, err := f.problems(subject, next, earlier)
	if err != nil {
		refuse(w, http.StatusUnprocessableEntity, 42201, "Invalid schema: "+err.Error())
		return
	}
	answer := map[string]any{"is_compatible": len(problems) == 0}
	if r.URL.Query().Get("verbose") == "true" {
		answer["messages"] = problems
	}
	reply(w, http.StatusOK, answer)
}

func (f *front) readLevel(w http.ResponseWriter, r *http.Request) {
	subject := r.PathValue("subject")
	if _, own := f.levelled.Load(subject); !own && r.URL.Query().Get("defaultToGlobal") != "true" {
		refuse(w, http.StatusNotFound, 40408,
			fmt.Sprintf("Subject '%s' does not have subject-level compatibility configured", subject))
		return
	}
	f.store.Handler().ServeHTTP(w, r)
}

func (f *front) writeLevel(w http.ResponseWriter, r *http.Request) {
	var in struct{ Compatibility string }
	if raw, ok := readBody(w, r); !ok {
		return
	} else if json.Unmarshal(raw, &in) != nil || !levels[in.Compatibility] {
		refuse(w, http.StatusUnprocessableEntity, 42203, "Invalid compatibility level")
		return
	}
	f.levelled.Store(r.PathValue("subject"), true)
	f.store.Handler().ServeHTTP(w, r)
}

func (f *front) dropLevel(w http.ResponseWriter, r *http.Request) {
	f.levelled.Delete(r.PathValue("subject"))
	f.store.Handler().ServeHTTP(w, r)
}

// level is the subject's own, else the global one.
func (f *front) level(subject string) string {
	var out struct{ CompatibilityLevel string }
	f.ask(http.MethodGet, "/config/"+url.PathEscape(subject)+"?defaultToGlobal=true", nil, &out)
	return out.CompatibilityLevel
}

// versions are those of a subject, oldest first; none when there is no such subject.
func (f *front) versions(subject string) []int {
	var out []int
	if f.ask(http.MethodGet, "/subjects/"+url.PathEscape(subject)+"/versions", nil, &out) != http.StatusOK {
		return nil
	}
	return out
}

// ask puts a question to the store without the network.
func (f *front) ask(method, path string, body []byte, out any) int {
	recorder := httptest.NewRecorder()
	f.store.Handler().ServeHTTP(recorder, httptest.NewRequest(method, path, bytes.NewReader(body)))
	if out != nil && recorder.Code == http.StatusOK {
		if err := json.Unmarshal(recorder.Body.Bytes(), out); err != nil {
			log.Fatalf("%s %s: %v", method, path, err)
		}
	}
	return recorder.Code
}

// readBody takes the body and puts it back for whoever comes next.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, http.StatusBadRequest, http.StatusBadRequest, err.Error())
		return nil, false
	}
	r.Body = io.NopCloser(bytes.NewReader(raw))
	return raw, true
}

func readSchema(w http.ResponseWriter, r *http.Request) (schema sr.Schema, raw []byte, ok bool) {
	if raw, ok = readBody(w, r); !ok {
		return schema, nil, false
	}
	if err := json.Unmarshal(raw, &schema); err != nil {
		refuse(w, http.StatusBadRequest, http.StatusBadRequest, err.Error())
		return schema, nil, false
	}
	return schema, raw, true
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		log.Printf("a reply was cut: %v", err)
	}
}

func refuse(w http.ResponseWriter, status, code int, message string) {
	reply(w, status, map[string]any{"error_code": code, "message": message})
}
